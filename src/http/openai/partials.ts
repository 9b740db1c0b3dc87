import type { PartialPicture } from "../../generations/partials.ts";

/** Takes partial pictures from a run, one at a time, for the response that is being written. */
export class PartialInbox {
  #picture: PartialPicture | null = null;
  #arrived = Promise.withResolvers<void>();
  #written = Promise.withResolvers<void>();
  #isClosed = false;

  /** Resolves once the picture is written. @throws when there is no room for it, or the response has ended */
  async show(picture: PartialPicture): Promise<void> {
    if (this.#isClosed || this.#picture !== null) throw new Error("The partial picture is not wanted.");
    this.#picture = picture;
    this.#arrived.resolve();
    await this.#written.promise;
  }

  /** The picture to write next, once there is one. */
  async next(): Promise<PartialPicture | null> {
    await this.#arrived.promise;
    return this.#picture;
  }

  /** Frees the place of the picture that was written. */
  written(): void {
    this.#picture = null;
    this.#written.resolve();
    this.#arrived = Promise.withResolvers();
    this.#written = Promise.withResolvers();
  }

  /** Takes no further pictures. One that was not written whole is lost. */
  close(): void {
    this.#isClosed = true;
    if (this.#picture === null) return;
    this.#picture = null;
    this.#written.reject(new Error("The response has ended."));
  }
}
