import { type ImageHeader, ImageScanner } from "../images/format.ts";
import { PARTIAL_BYTES_MAX, type PartialPictures } from "../providers/provider.ts";
import { TimeoutError, withTimeout } from "../time.ts";

export type PartialPicture = { index: number; header: ImageHeader; bytes: Uint8Array };

/** The partial pictures that a waiting request asks for. */
export type PartialsAsked = {
  /** How many of each image: 1 to 3. */
  count: number;
  /**
   * Writes a picture to the response, and resolves once it is written. Called by RPC.
   * @throws when the response has ended
   */
  show(picture: PartialPicture): Promise<void>;
};

/** How long a run waits for a slow reader, once. From then on, it drops the pictures that the reader is too slow for. */
const ROOM_WITHIN_MS = 5_000;

/** Sends the partial pictures of a run to the request that waits, one at a time. Stops when the request is gone. */
export class PartialSender implements PartialPictures {
  readonly count: number;
  readonly #show: PartialsAsked["show"];
  readonly #most: number;
  #sent = 0;
  #sending: Promise<void> | null = null;
  #isSlow = false;
  #isGone = false;

  /** @param images how many images the run makes */
  constructor({ count, show }: PartialsAsked, images: number) {
    this.count = count;
    this.#show = show;
    this.#most = count * images;
  }

  /** Whether pictures were sent. Another call would begin with the first ones again. */
  get hasBegun(): boolean {
    return this.#sent > 0;
  }

  async hasRoom(): Promise<boolean> {
    if (this.#sending !== null && !this.#isSlow) {
      await withTimeout(ROOM_WITHIN_MS, this.#sending).catch((error: unknown) => {
        if (!(error instanceof TimeoutError)) throw error;
        this.#isSlow = true;
      });
    }
    return this.#mayGo();
  }

  send(index: number, bytes: Uint8Array): void {
    const isAsked = Number.isInteger(index) && index >= 0 && index < this.count;
    if (!this.#mayGo() || !isAsked || bytes.length > PARTIAL_BYTES_MAX) return;
    const header = headerOf(bytes);
    if (header === null) return;
    this.#sent++;
    this.#sending = this.#deliver({ index, header, bytes });
  }

  #mayGo(): boolean {
    return this.#sending === null && !this.#isGone && this.#sent < this.#most;
  }

  async #deliver(picture: PartialPicture): Promise<void> {
    try {
      await this.#show(picture);
    } catch {
      // The client left, or its request died. The images do not depend on it.
      this.#isGone = true;
    } finally {
      this.#sending = null;
    }
  }
}

/** The header of a whole image, or null. */
function headerOf(bytes: Uint8Array): ImageHeader | null {
  const scanner = new ImageScanner();
  scanner.write(bytes);
  return scanner.complete ? scanner.header : null;
}
