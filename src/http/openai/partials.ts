import type { PartialPicture } from "../../generations/partials.ts";

/** Receives partial pictures from a run, one at a time, for the response that is being written. */
export class PartialInbox {
  #picture: PartialPicture | null = null;
  #arrived = Promise.withResolvers<void>();
  #written = Promise.withResolvers<void>();
  #isClosed = false;

  /** Resolves when the picture is written. @throws when another one is being written, or the response has ended */
  async show(picture: PartialPicture): Promise<void> {
    if (this.#isClosed || this.#picture !== null) throw new Error("The partial picture is not wanted.");
    this.#picture = picture;
    this.#arrived.resolve();
    await this.#written.promise;
  }

  /** Resolves with the next picture to write. */
  async next(): Promise<PartialPicture | null> {
    await this.#arrived.promise;
    return this.#picture;
  }

  /** Removes the picture that was written. */
  written(): void {
    this.#picture = null;
    this.#written.resolve();
    this.#arrived = Promise.withResolvers();
    this.#written = Promise.withResolvers();
  }

  /** Refuses further pictures. One that was not written completely is lost. */
  close(): void {
    this.#isClosed = true;
    if (this.#picture === null) return;
    this.#picture = null;
    this.#written.reject(new Error("The response has ended."));
  }
}
