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

/**
 * The API of Black Forest Labs (FLUX). `baseUrl` is https://api.bfl.ai or a regional host. A task is one image:
 * `POST /v1/<model>` answers with a `polling_url`, and its result is a URL that is valid for 10 minutes.
 *
 * Sources: https://docs.bfl.ai/api_integration/errors, https://docs.bfl.ai/api-reference, and the official SDK
 * (github.com/black-forest-labs/blackforest, `_transport.py`, `_jobs.py`, `_models.py`). Unlike the SDK, an unknown
 * status is polled on: FLUX 3 added `Reasoning` and `Generating`. An account has 24 tasks at a time; one more is a 429.
 *
 * A submission that fails with a server error is `unavailable`, so that the next route is tried. The task may exist all
 * the same (the SDK does not repeat it), and then one image was paid for and lost.
 */
export function createBlackForestLabs(options: PolledOptions): Provider {
  const api: PolledApi = {
    ...options,
    name: "black-forest-labs",
    headers: { "x-key": options.apiKey },
    isHost: (hostname) => /(^|\.)bfl\.(ai|ml)$/.test(hostname),
    submit: (request, references, call) => submitTask(api, request, references, call),
    wait: (task, call) => poll<TaskEnd>(api, task.pollUrl, call, (answer) => readPoll(answer, call)),
  };
  return {
    formats: ["png", "jpeg", "webp"],
    generate: (request, callOptions) => generatePolled(api, request, callOptions),
  };
}

const acceptedShape = z.object({ id: z.string(), polling_url: z.string() });

async function submitTask(
  api: PolledApi,
  request: ImageRequest,
  references: readonly Reference[],
  call: PolledCall,
): Promise<Task> {
  const parts = partsOf(request, references);
  const answer = await submit(api, `/v1/${request.providerModel}`, parts, call);
  if (!answer.ok) {
    const requestId = printableId(answer.headers.get("x-request-id"));
    throw answerError(failureOf(answer), "refused", answer, { code: null, requestId });
  }
  const accepted = acceptedShape.safeParse(answer.body);
  if (!accepted.success) throw undelivered("invalid response: no task");
  const { id, polling_url } = accepted.data;
  const pollUrl = ownUrl(api, polling_url);
  if (pollUrl === null) throw undelivered("polling URL not allowed");
  return { id, pollUrl, resultUrl: null, cancelUrl: null };
}

/** Without `width` and `height`, the model follows the first reference, or chooses. Without `seed`, images differ. */
function partsOf(request: ImageRequest, references: readonly Reference[]): BodyPart[] {
  const { prompt, size, outputFormat } = request;
  const fields = { prompt, ...(size !== "auto" && size), output_format: outputFormat };
  const images = references.flatMap((reference, index) => [
    textPart(`,"input_image${index === 0 ? "" : `_${index + 1}`}":"`),
    base64Part(reference),
    textPart('"'),
  ]);
  return [textPart(JSON.stringify(fields).slice(0, -1)), ...images, textPart("}")];
}

/** FastAPI's validation error. */
const invalidShape = z.object({ detail: z.array(z.object({ loc: z.array(z.unknown()) })) });

function failureOf(answer: Answer): ProviderFailure {
  const failure = failureOfStatus(answer, "concurrency");
  const invalid = invalidShape.safeParse(answer.body);
  if (failure.reason !== "invalid" || !invalid.success) return failure;
  const fields = invalid.data.detail.flatMap(({ loc }) => loc);
  return fields.some((field) => String(field).startsWith("input_image")) ? { reason: "unreadable" } : failure;
}

/** Older deployments call the status `state`. */
const pollShape = z.object({
  status: z.string().optional(),
  state: z.string().optional(),
  result: z.object({ sample: z.string() }).nullable().catch(null),
});

function readPoll(answer: Answer, call: PolledCall): TaskEnd | "again" | null {
  const parsed = pollShape.safeParse(answer.body);
  const status = parsed.data?.status ?? parsed.data?.state;
  if (parsed.data === undefined || status === undefined) return null;
  const facts = { ...call.facts, code: codeOf(status) };
  switch (status) {
    case "Ready":
      call.facts.code = null;
      if (parsed.data.result !== null) return { kind: "image", url: parsed.data.result.sample };
      return ended({ reason: "undelivered" }, "no image", answer, facts);
    case "Request Moderated":
    case "Content Moderated":
      return ended({ reason: "refused" }, "moderated", answer, facts);
    case "Error":
    case "Failed":
      return ended({ reason: "unavailable", retryAfterMs: null }, "the task failed", answer, facts);
    case "Task not found":
      return ended({ reason: "undelivered" }, "the task is gone", answer, facts);
    default:
      if (!answer.ok) return null;
      call.facts.code = facts.code;
      return "again";
  }
}
