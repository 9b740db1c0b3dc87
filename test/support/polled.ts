import * as z from "zod";
import type { ImageRequest, Provider, Reference } from "../../src/providers/provider.ts";

/** Calls of polled providers, and what their doubles have seen of them. */

export type PolledResult = { images: Uint8Array[]; error: unknown; lines: Record<string, unknown>[] };

export const plain: ImageRequest = {
  ...{ generationId: "gen_plain", providerModel: "flux-2-pro", prompt: "a lighthouse" },
  ...{ size: "auto", aspectRatio: "1:1", tier: "1K", renderQuality: "auto" },
  ...{ outputFormat: "png", outputCompression: null, background: "auto", moderation: "auto" },
  ...{ endUser: null, n: 1, offset: 0 },
};

/** Keeps the states that a provider saves, and fails when `isBroken`. */
export class Notebook {
  saved: string | null;
  readonly states: string[] = [];
  isBroken = false;

  constructor(saved: string | null = null) {
    this.saved = saved;
  }

  async save(state: string): Promise<void> {
    if (this.isBroken) throw new Error("storage is away");
    this.states.push(state);
    this.saved = state;
  }
}

/** Reads all images of a call. With `imagesMax`, leaves it before the next image, as a run that dies does. */
export async function collect(
  provider: Provider,
  request: ImageRequest,
  options: { references?: Reference[]; signal?: AbortSignal; task?: Notebook; imagesMax?: number } = {},
): Promise<{ images: Uint8Array[]; error: unknown }> {
  const { references = [], signal = new AbortController().signal, task, imagesMax } = options;
  const images: Uint8Array[] = [];
  try {
    const bodies = provider.generate(request, { references, signal, ...(task && { task }) });
    for await (const { body } of bodies) {
      if (images.length === imagesMax) break;
      images.push(await new Response(body).bytes());
    }
    return { images, error: null };
  } catch (error) {
    return { images, error };
  }
}

const submissionShape = z.object({
  id: z.string(),
  path: z.string(),
  headers: z.record(z.string(), z.string()),
  fields: z.record(z.string(), z.unknown()),
  references: z.array(
    z.object({ contentType: z.string().nullable(), bytes: z.number(), sha256: z.string() }),
  ),
  status: z.number().nullable(),
  polls: z.number(),
  results: z.number(),
  downloads: z.number(),
  cancellations: z.number(),
  hungUp: z.boolean(),
});

/** The submissions whose prompt contains this text. */
export async function submissionsOf(url: string, text: string) {
  const response = await fetch(`${url}/_calls`);
  const { submissions } = z.object({ submissions: z.array(submissionShape) }).parse(await response.json());
  return submissions.filter(({ fields }) => String(fields["prompt"]).includes(text));
}

/** A signal that aborts when a task with this text in its prompt has been polled so often. */
export function abortAtPoll(url: string, text: string, polls: number): AbortSignal {
  const stop = new AbortController();
  const look = async () => {
    const submissions = await submissionsOf(url, text);
    if (submissions.some((submission) => submission.polls >= polls)) stop.abort();
    else setTimeout(look, 10);
  };
  void look();
  return stop.signal;
}

function bytesOf(length: number): Uint8Array {
  return new Uint8Array(length).map((_, index) => (index * 31) >> 3);
}

export function reference(contentType: Reference["contentType"], bytes: number): Reference {
  return { contentType, bytes, open: async () => new Blob([bytesOf(bytes)]).stream() };
}

export async function sha256Of(bytes: number): Promise<string> {
  const digest = await crypto.subtle.digest("SHA-256", bytesOf(bytes));
  return [...new Uint8Array(digest)].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}
