import * as z from "zod";
import type { ImageRequest, Provider, ProviderFailure, Reference } from "../provider.ts";
import { type BodyPart, base64Part, textPart } from "../wire/body.ts";
import { undelivered } from "../wire/failure.ts";
import {
  type Answer,
  answerError,
  codeOf,
  ended,
  failureOfStatus,
  generatePolled,
  ownUrl,
  type PolledApi,
  type PolledCall,
  type PolledOptions,
  poll,
  printableId,
  submit,
  type Task,
  type TaskEnd,
} from "../wire/poll.ts";

/** How long fal keeps an image, in seconds. Anyone who knows its URL can read it. */
const IMAGE_SECONDS = 3_600;

/**
 * The queue of fal. `baseUrl` is https://queue.fal.run. A request is one image: FLUX has no `num_images`, and one that
 * is refused must not cost the others. `POST /<app>` answers with the URLs of its status, its result and its
 * cancellation; the result has the model's own status and body. The provider's model is the app; with references, its
 * `/edit` app is called. Apps of Nano Banana take a ratio and a tier, the others pixels.
 *
 * References are data URIs, streamed into the request. Uploads to fal's storage would be more requests before each
 * call, and would leave the references at public URLs.
 *
 * Sources: https://fal.ai/docs/inference-api (queue), https://fal.ai/docs/documentation/model-apis/errors and
 * /request-errors, https://fal.ai/docs/documentation/model-apis/fal-cdn (data URIs), and the `llms.txt` of each model at
 * https://fal.ai/models. Server errors are never charged (https://fal.ai/docs, billing). Cancellation removes a request
 * that has not begun: https://fal.ai/docs/inference-api/queue/cancel.
 */
export function createFal(options: PolledOptions): Provider {
  const api: PolledApi = {
    ...options,
    name: "fal",
    headers: {
      authorization: `Key ${options.apiKey}`,
      "x-fal-object-lifecycle-preference": JSON.stringify({ expiration_duration_seconds: IMAGE_SECONDS }),
    },
    isHost: (hostname) => hostname === "queue.fal.run" || hostname === "queue.falrun.com",
    submit: (request, references, call) => submitTask(api, request, references, call),
    wait: (task, call) => waitFor(api, task, call),
  };
  return {
    // FLUX has no webp here.
    formats: ["png", "jpeg"],
    accepts: ({ outputFormat }) => outputFormat !== "webp",
    generate: (request, callOptions) => generatePolled(api, request, callOptions),
  };
}

const acceptedShape = z.object({
  request_id: z.string(),
  status_url: z.string(),
  response_url: z.string(),
  cancel_url: z.string().nullable().catch(null),
});

async function submitTask(
  api: PolledApi,
  request: ImageRequest,
  references: readonly Reference[],
  call: PolledCall,
): Promise<Task> {
  const path = `/${request.providerModel}${references.length > 0 ? "/edit" : ""}`;
  const answer = await submit(api, path, partsOf(request, references), call);
  if (!answer.ok) {
    const { types, code } = errorOf(answer);
    const requestId = printableId(answer.headers.get("x-fal-request-id"));
    throw answerError(failureOf(answer, types), "refused", answer, { code, requestId });
  }
  const accepted = acceptedShape.safeParse(answer.body);
  if (!accepted.success) throw undelivered("invalid response: no request");
  const { request_id: id, status_url, response_url, cancel_url } = accepted.data;
  const pollUrl = ownUrl(api, status_url);
  const resultUrl = ownUrl(api, response_url);
  if (pollUrl === null || resultUrl === null) throw undelivered("polling URL not allowed");
  call.isQueued = true;
  return { id, pollUrl, resultUrl, cancelUrl: cancel_url === null ? null : ownUrl(api, cancel_url) };
}

function partsOf(request: ImageRequest, references: readonly Reference[]): BodyPart[] {
  const { prompt, outputFormat } = request;
  const fields = { prompt, ...shapeOf(request), output_format: outputFormat };
  const open = textPart(JSON.stringify(fields).slice(0, -1));
  if (references.length === 0) return [open, textPart("}")];
  const urls = references.flatMap((reference, index) => [
    textPart(`${index === 0 ? "" : ","}"data:${reference.contentType};base64,`),
    base64Part(reference),
    textPart('"'),
  ]);
  return [open, textPart(',"image_urls":['), ...urls, textPart("]}")];
}

/** Without a size, FLUX chooses one. `limit_generations`: a prompt that asks for several images gets one. */
function shapeOf({ providerModel, size, aspectRatio, tier }: ImageRequest) {
  if (providerModel.includes("nano-banana")) {
    return { aspect_ratio: aspectRatio, resolution: tier, num_images: 1, limit_generations: true };
  }
  return size === "auto" ? {} : { image_size: size };
}

/** Polls the status, then reads the result, which may be an error of the model. */
async function waitFor(api: PolledApi, task: Task, call: PolledCall): Promise<TaskEnd> {
  const { pollUrl, resultUrl } = task;
  const status = await poll(api, pollUrl, call, (answer) => readStatus(answer, call));
  if (status !== "completed") return status;
  if (resultUrl === null) return { kind: "none", failure: undelivered("no result URL") };
  return await poll<TaskEnd>(api, resultUrl, call, (answer) => readResult(answer, call));
}

const statusShape = z.object({ status: z.string() });

function readStatus(answer: Answer, call: PolledCall): "completed" | "again" | null {
  const parsed = statusShape.safeParse(answer.body);
  if (!answer.ok || !parsed.success) return null;
  const { status } = parsed.data;
  call.isQueued = status === "IN_QUEUE";
  call.facts.code = status === "COMPLETED" ? null : codeOf(status);
  return status === "COMPLETED" ? "completed" : "again";
}

const imageShape = z.object({ url: z.string() });
const flags = z.array(z.boolean()).nullish().catch(null);
/** Some apps have `image` instead of `images`, and another name for the flags. */
const resultShape = z.object({
  images: z.array(imageShape).nullish().catch(null),
  image: imageShape.nullish().catch(null),
  has_nsfw_concepts: flags,
  nsfw_content_detected: flags,
});

function readResult(answer: Answer, call: PolledCall): TaskEnd | "again" | null {
  if (!answer.ok) return readError(answer, call);
  // Not completed after all.
  if (answer.status === 202) return "again";
  const parsed = resultShape.safeParse(answer.body);
  if (!parsed.success) return null;
  const { images, image, has_nsfw_concepts, nsfw_content_detected } = parsed.data;
  // The image is black.
  if (has_nsfw_concepts?.[0] === true || nsfw_content_detected?.[0] === true) {
    return ended({ reason: "refused" }, "flagged", answer, { ...call.facts, code: "nsfw" });
  }
  const url = images?.[0]?.url ?? image?.url;
  if (url !== undefined) return { kind: "image", url };
  return ended({ reason: "undelivered" }, "no image", answer, call.facts);
}

/** The model's own error ends the request; an error of the queue does not, and neither does one without JSON. */
function readError(answer: Answer, call: PolledCall): TaskEnd | null {
  const { types, code } = errorOf(answer);
  if (types.length === 0 && (answer.body === null || [401, 403, 404, 429].includes(answer.status)))
    return null;
  const failure = failureOf(answer, types);
  // A server error is not charged.
  const isServers = answer.status >= 500 && failure.reason === "timeout";
  const reason: ProviderFailure = isServers ? { reason: "unavailable", retryAfterMs: null } : failure;
  return ended(reason, "the model failed", answer, { ...call.facts, code });
}

/** A model lists errors with a `type`; the platform has one `error_type`, also as a header. */
const errorShape = z.object({
  detail: z.array(z.object({ type: z.string() })).catch([]),
  error_type: z.string().nullish().catch(null),
});

function errorOf({ headers, body }: Answer): { types: string[]; code: string | null } {
  const parsed = errorShape.safeParse(body);
  const type = parsed.data?.error_type ?? headers.get("x-fal-error-type");
  const types = [...(parsed.data?.detail.map((error) => error.type) ?? []), ...(type ? [type] : [])];
  return { types, code: codeOf(types[0] ?? null) };
}

/** Types that are more precise than their status. A refusal wins, then a reference that cannot be read. */
const UNREADABLE = [
  ...["image_too_small", "image_too_large", "image_load_error", "unsupported_image_format"],
  ...["file_download_error", "file_too_large"],
];
const UNAVAILABLE = [
  ...["internal_server_error", "generation_timeout", "downstream_service_error"],
  ...["downstream_service_unavailable", "client_cancelled", "client_disconnected"],
];

function failureOf(answer: Answer, types: readonly string[]): ProviderFailure {
  if (types.includes("content_policy_violation")) return { reason: "refused" };
  if (types.some((type) => UNREADABLE.includes(type))) return { reason: "unreadable" };
  const failure = failureOfStatus(answer, "rate");
  const mayHelp = answer.headers.get("x-fal-retryable") === "true";
  const isTransient = types.some((type) => UNAVAILABLE.includes(type)) || mayHelp;
  return failure.reason === "invalid" && isTransient
    ? { reason: "unavailable", retryAfterMs: null }
    : failure;
}
