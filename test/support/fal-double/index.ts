import {
  type Answer,
  BAD_GATEWAY,
  type DoubleTask,
  type PolledDouble,
  type PolledDoubleOptions,
  startPolledDouble,
  type Wire,
} from "../polled-double.ts";

/** A stand-in for the queue of fal, with the apps of FLUX.2 [pro] and of Nano Banana. */
export function startDouble(options: PolledDoubleOptions = {}): Promise<PolledDouble> {
  return startPolledDouble(fal, { apiKey: "fal:test", ...options });
}

/** The message repeats what a caller must never see, so that a test can look for it. */
const DETAIL = "Free text of the upstream about fal:test and the prompt.";
const flat = (status: number, headers: Record<string, string> = {}): Answer => ({
  status,
  headers: { "x-fal-request-id": "req_fal_1", ...headers },
  body: { detail: DETAIL },
});
const platform = (status: number, type: string): Answer => ({
  status,
  headers: { "x-fal-error-type": type },
  body: { detail: DETAIL, error_type: type },
});
const model = (status: number, type: string, retryable = false): Answer => ({
  status,
  headers: { "x-fal-retryable": String(retryable) },
  body: {
    detail: [
      { loc: ["body", "prompt"], msg: DETAIL, type, url: "https://docs.fal.ai/errors", input: DETAIL },
    ],
  },
});

/** Errors of the model, which come as the result. */
const MODEL_ERRORS: Record<string, Answer> = {
  policy: model(422, "content_policy_violation"),
  "image-load": model(422, "image_load_error"),
  "image-large": model(422, "image_too_large"),
  value: model(422, "value_error"),
  "value-retryable": model(422, "value_error", true),
  internal: model(500, "internal_server_error"),
  "generation-timeout": model(504, "generation_timeout"),
  downstream: model(400, "downstream_service_error", true),
  runner: platform(503, "runner_disconnected"),
  "request-timeout": platform(504, "request_timeout"),
  cancelled: platform(499, "client_cancelled"),
  "plain-500": { status: 500, body: { detail: DETAIL } },
};

const APPS = /^\/(fal-ai\/flux-2-pro|(?:fal-ai|google)\/nano-banana-(?:2\.1|pro))(\/edit)?$/;
const NANO = [
  ...["prompt", "num_images", "seed", "aspect_ratio", "resolution", "output_format", "safety_tolerance"],
  ...["sync_mode", "limit_generations", "enable_web_search", "image_urls"],
];
const FLUX = [
  ...["prompt", "image_size", "seed", "safety_tolerance", "enable_safety_checker", "output_format"],
  ...["sync_mode", "image_urls"],
];
const RATIOS = ["auto", "21:9", "16:9", "3:2", "4:3", "5:4", "1:1", "4:5", "3:4", "2:3", "9:16"];
const EXTREME_RATIOS = ["1:4", "4:1", "1:8", "8:1"];
const EDGES: Record<string, number> = { "1K": 1024, "2K": 2048, "4K": 4096 };

const fal: Wire = {
  hasKey: ({ authorization }, apiKey) => authorization === `Key ${apiKey}`,
  unauthorized: { status: 401, body: { detail: "Cannot access application. Authentication is required." } },
  route(method, path) {
    if (method === "POST") return APPS.test(path) ? { kind: "submit", id: "" } : null;
    const [, id, what] = /^\/[\w-]+\/[\w.-]+\/requests\/([\w-]+)(\/status|\/cancel)?$/.exec(path) ?? [];
    if (id === undefined) return null;
    if (what === "/cancel") return method === "PUT" ? { kind: "cancel", id } : null;
    return method === "GET" ? { kind: what === "/status" ? "poll" : "result", id } : null;
  },
  referencesOf: ({ image_urls: urls }) =>
    (Array.isArray(urls) ? urls : []).map((url) => {
      const [, contentType = null, base64 = ""] = /^data:(image\/\w+);base64,(.*)$/.exec(String(url)) ?? [];
      return { name: "image_urls", contentType, base64 };
    }),
  validate(path, fields) {
    const isNano = path.includes("nano-banana");
    const names = isNano ? NANO : FLUX;
    const unknown = Object.keys(fields).find((name) => !names.includes(name));
    const isEdit = path.endsWith("/edit");
    if (unknown !== undefined || typeof fields["prompt"] !== "string") return model(422, "value_error");
    if (isEdit !== Array.isArray(fields["image_urls"])) return model(422, "missing");
    const formats = isNano ? ["png", "jpeg", "webp"] : ["png", "jpeg"];
    if (!formats.includes(String(fields["output_format"] ?? "png"))) return model(422, "one_of");
    const ratios = path.includes("2.1") ? [...RATIOS, ...EXTREME_RATIOS] : RATIOS;
    const isShape =
      !isNano || (ratios.includes(String(fields["aspect_ratio"])) && String(fields["resolution"]) in EDGES);
    return isShape ? null : model(422, "one_of");
  },
  imageOf({ output_format: format, resolution, image_size: size }) {
    const edge = EDGES[String(resolution)] ?? 1024;
    const pixels = typeof size === "object" && size !== null ? { width: 0, height: 0, ...size } : null;
    return {
      format: format === "jpeg" || format === "webp" ? format : "png",
      ...(pixels ?? { width: edge, height: edge }),
    };
  },
  refusals: {
    "400": flat(400),
    "401": flat(401),
    "402": flat(402),
    // An exhausted balance.
    "403": flat(403),
    "404": flat(404),
    "413": flat(413),
    "422": model(422, "value_error"),
    "422-image": model(422, "image_load_error"),
    "422-policy": model(422, "content_policy_violation"),
    "429": flat(429),
    "429-wait": flat(429, { "retry-after": "2" }),
    "500": flat(500),
    "502-html": BAD_GATEWAY,
    "503": flat(503),
    "504": flat(504),
    redirect: { status: 307, headers: { location: "/elsewhere" }, body: null },
  },
  accepted({ submission: { id, path, fault } }, origin) {
    const [, app = ""] = APPS.exec(path) ?? [];
    const own = `${origin}/${app}/requests/${id}`;
    const foreign = `https://queue.fal.run.example.com/${app}/requests/${id}`;
    return {
      status: "IN_QUEUE",
      request_id: id,
      response_url: fault === "foreign-result" ? foreign : own,
      status_url: `${fault === "foreign-host" ? foreign : own}/status`,
      cancel_url: `${fault === "foreign-cancel" ? foreign : own}/cancel`,
      queue_position: 0,
    };
  },
  answer(kind, task, isReady, url) {
    if (kind === "cancel") {
      return isReady
        ? { status: 400, body: { status: "ALREADY_COMPLETED" } }
        : { status: 202, body: { status: "CANCELLATION_REQUESTED" } };
    }
    return kind === "poll" ? statusOf(task, isReady) : resultOf(task, isReady, url);
  },
};

function statusOf({ submission }: DoubleTask, isReady: boolean): Answer {
  const { id, fault, polls } = submission;
  const isBegun = polls > 1 && fault !== "never" && fault !== "foreign-cancel";
  const unfinished = fault === "unknown-status" ? "DEEP_THOUGHT" : isBegun ? "IN_PROGRESS" : "IN_QUEUE";
  const status = isReady ? "COMPLETED" : unfinished;
  return { status: isReady ? 200 : 202, body: { status, request_id: id, ...(isReady && { metrics: {} }) } };
}

function resultOf({ submission: { fault }, spec }: DoubleTask, isReady: boolean, url: string): Answer {
  if (!isReady) return { status: 400, body: { detail: "Request is still in progress" } };
  const error = MODEL_ERRORS[fault ?? ""];
  if (error !== undefined) return error;
  const image = { url, content_type: `image/${spec.format}`, width: spec.width, height: spec.height };
  const images = fault === "no-images" ? [] : [image];
  return {
    status: 200,
    body: {
      ...(fault === "single-image" ? { image } : { images }),
      ...(fault === "nsfw-detected"
        ? { nsfw_content_detected: [true] }
        : { has_nsfw_concepts: [fault === "nsfw"] }),
      ...{ seed: 7, prompt: DETAIL },
    },
  };
}
