import {
  type Answer,
  BAD_GATEWAY,
  type DoubleTask,
  type PolledDouble,
  type PolledDoubleOptions,
  startPolledDouble,
  type Wire,
} from "../polled-double.ts";

/** A stand-in for the API of Black Forest Labs: `POST /v1/<model>`, `GET /v1/get_result?id=…`. */
export function startDouble(options: PolledDoubleOptions = {}): Promise<PolledDouble> {
  return startPolledDouble(bfl, { apiKey: "bfl-test", ...options });
}

/** The message repeats what a caller must never see, so that a test can look for it. */
const DETAIL = "Free text of the upstream about bfl-test and the prompt.";
const detail = (status: number, headers: Record<string, string> = {}): Answer => ({
  status,
  headers: { "x-request-id": "req_bfl_1", ...headers },
  body: { detail: DETAIL },
});
const invalid = (field: string): Answer => ({
  status: 422,
  body: { detail: [{ loc: ["body", field], msg: DETAIL, type: "value_error" }] },
});

/** The fields of FLUX.2 [pro]. */
const FIELDS = ["prompt", "width", "height", "seed", "safety_tolerance", "output_format", "disable_pup"];
const REFERENCE = /^input_image(_[2-8])?$/;
const PIXELS_MAX = 4_194_304;
/** The status of a finished task with a fault. */
const STATUSES: Record<string, string> = {
  "request-moderated": "Request Moderated",
  "content-moderated": "Content Moderated",
  "moderated-503": "Content Moderated",
  error: "Error",
  failed: "Failed",
  "task-not-found": "Task not found",
};

const bfl: Wire = {
  hasKey: (headers, apiKey) => headers["x-key"] === apiKey,
  unauthorized: { status: 403, body: { detail: "Not authenticated - Invalid API Key" } },
  route(method, path) {
    const [, id] = /^\/v1\/get_result\?id=([\w-]+)(?:&pad=0*)?$/.exec(path) ?? [];
    if (method === "GET" && id !== undefined) return { kind: "poll", id };
    return method === "POST" && path === "/v1/flux-2-pro" ? { kind: "submit", id: "" } : null;
  },
  referencesOf: (fields) =>
    Object.entries(fields)
      .filter(([name]) => REFERENCE.test(name))
      .map(([name, value]) => ({ name, contentType: null, base64: String(value) })),
  validate(_path, fields) {
    const unknown = Object.keys(fields).find((name) => !FIELDS.includes(name) && !REFERENCE.test(name));
    if (unknown !== undefined) return invalid(unknown);
    if (typeof fields["prompt"] !== "string") return invalid("prompt");
    if (!["jpeg", "png", "webp", undefined].some((format) => format === fields["output_format"])) {
      return invalid("output_format");
    }
    const { width, height } = bfl.imageOf(fields);
    const isSize = (edge: number) => Number.isInteger(edge) && edge >= 64 && edge % 16 === 0;
    return isSize(width) && isSize(height) && width * height <= PIXELS_MAX ? null : invalid("width");
  },
  imageOf({ width = 1024, height = 768, output_format: format }) {
    const isKnown = format === "png" || format === "webp";
    return { format: isKnown ? format : "jpeg", width: Number(width), height: Number(height) };
  },
  refusals: {
    "400": detail(400),
    "401": detail(401),
    "402": detail(402),
    "403": detail(403),
    "404": detail(404),
    "413": detail(413),
    "422": invalid("prompt"),
    "422-image": invalid("input_image_2"),
    "429": detail(429),
    "429-wait": detail(429, { "retry-after": "2" }),
    "500": detail(500),
    "502-html": BAD_GATEWAY,
    "503": detail(503),
    "504": detail(504),
    redirect: { status: 307, headers: { location: "/elsewhere" }, body: null },
  },
  accepted({ submission: { id, fault } }, origin) {
    const host = fault === "foreign-host" ? "https://api.bfl.ai.example.com" : origin;
    const pad = /^long-url-(\d+)$/.exec(fault ?? "")?.[1];
    const padding = pad === undefined ? "" : `&pad=${"0".repeat(Number(pad))}`;
    return {
      id,
      polling_url: `${host}/v1/get_result?id=${id}${padding}`,
      cost: 3,
      input_mp: 0,
      output_mp: 1,
    };
  },
  answer(_kind, task, isReady, sample) {
    const { id, fault } = task.submission;
    const status = statusOf(task, isReady);
    const result = status === "Ready" && fault !== "no-sample" ? { sample, seed: 7, prompt: DETAIL } : null;
    const name = fault === "state" ? "state" : "status";
    const details = isReady && fault !== null ? { "Moderation Reasons": [DETAIL] } : null;
    return {
      status: status === "Content Moderated" && fault === "moderated-503" ? 503 : 200,
      body: { id, [name]: status, result, progress: null, details, preview: null },
    };
  },
};

function statusOf({ submission: { fault, polls } }: DoubleTask, isReady: boolean): string {
  if (isReady) return STATUSES[fault ?? ""] ?? "Ready";
  if (fault === "unknown-status") return "Deep Thought";
  // The stages of FLUX 3.
  return ["Pending", "Reasoning", "Generating"][Math.min(polls - 1, 2)] ?? "Pending";
}
