import type { Ending } from "../loopback.ts";
import { base64, drawImage, type ImageSpec } from "../openai-double/images.ts";

const USAGE = {
  promptTokenCount: 12,
  candidatesTokenCount: 1120,
  totalTokenCount: 1132,
  candidatesTokensDetails: [{ modality: "IMAGE", tokenCount: 1120 }],
};

/** The bytes of a `GenerateContentResponse`, in order, as the fault has them; returns how the connection ends. */
export async function* answer(
  spec: ImageSpec,
  fault: string | null,
  { model, responseId }: { model: string; responseId: string },
): AsyncGenerator<Buffer, Ending> {
  const tail = { usageMetadata: USAGE, modelVersion: model, responseId };
  const without = withoutPicture(fault);
  if (without !== null) {
    yield Buffer.from(JSON.stringify({ ...without, ...tail }));
    return "whole";
  }
  const odd = fault === "odd-json";
  yield Buffer.from(
    odd
      ? '\r\n{ "x":[{"candidates":[]}], "candid\\u0061tes" :\n[ {"finishReason":"STOP","content":{"role":"model","parts":['
      : '{"candidates":[{"content":{"parts":[',
  );
  if (odd) yield Buffer.from('null,{"text":"\\"inlineData\\""},{"inlineData":{"data":null}},');
  for (const [index, draft] of draftsOf(fault).entries()) {
    const drawn = { ...spec, seed: spec.seed + 50 + index };
    yield Buffer.from(
      draft === "before"
        ? '{"thought":true,"inlineData":{"data":"'
        : '{"inlineData":{"mimeType":"image/png","data":"',
    );
    yield* base64(drawImage(drawn));
    yield Buffer.from(draft === "after" ? '"},"thought":true},' : '"}},');
  }
  if (fault !== "draft-only") {
    yield Buffer.from(`{"inlineData":{"mimeType":"image/${spec.format}","data":"`);
    const ending = yield* data(spec, fault, odd);
    if (ending !== "whole") return ending;
    if (fault === "truncated") return "whole";
    yield Buffer.from('"}');
    if (fault === "reset-after-picture") return "reset";
    if (fault === "malformed-after-picture") yield Buffer.from(",,");
    yield Buffer.from(',"thoughtSignature":"c2lnbmF0dXJl"}');
  } else yield Buffer.from('{"text":"only drafts"}');
  yield Buffer.from(odd ? "]}}]" : '],"role":"model"},"finishReason":"STOP","index":0}]');
  yield Buffer.from(`,${JSON.stringify(tail).slice(1)}`);
  return "whole";
}

/** The parts of the answer for a fault without a picture; null for the others. */
function withoutPicture(fault: string | null): object | null {
  const [, kind, reason = ""] = /^(block|finish)-(.+)$/.exec(fault ?? "") ?? [];
  const name = reason.toUpperCase().replaceAll("-", "_");
  if (kind === "block") return { promptFeedback: { blockReason: name } };
  if (kind === "finish") {
    return { candidates: [{ finishReason: name, finishMessage: "Free text of the upstream.", index: 0 }] };
  }
  if (fault === "empty-answer") return {};
  if (fault !== "text-only") return null;
  const parts = [{ text: "Free text of the upstream: no picture today." }];
  return { candidates: [{ content: { parts, role: "model" }, finishReason: "STOP", index: 0 }] };
}

/** The drafts before the picture: where each is marked as a thought, or `null` for a picture that is not marked. */
function draftsOf(fault: string | null): ("before" | "after" | null)[] {
  switch (fault) {
    case "draft-marked-first":
      return ["before"];
    case "draft-first":
      return ["after", "after"];
    case "draft-only":
      return ["after"];
    case "two-pictures":
      return [null];
    default:
      return [];
  }
}

/** The base64 of the picture, broken off in its middle if the fault says so. */
function* data(spec: ImageSpec, fault: string | null, odd: boolean): Generator<Buffer, Ending> {
  if (fault === "empty-image") return "whole";
  if (fault === "not-image") {
    yield Buffer.from(Buffer.from("Sorry, no picture today.").toString("base64"));
    return "whole";
  }
  let sent = 0;
  for (const piece of base64(drawImage(spec))) {
    yield odd
      ? Buffer.from(piece.toString("latin1").replaceAll("/", "\\/").replaceAll("+", "\\u002b"))
      : piece;
    sent += piece.length;
    if (sent * 2 <= spec.bytes) continue;
    if (fault === "truncated") return "whole";
    if (fault === "stall-body") return "stall";
    if (fault === "reset-body") return "reset";
  }
  if (fault === "bad-base64") yield Buffer.from("@@@@");
  return "whole";
}
