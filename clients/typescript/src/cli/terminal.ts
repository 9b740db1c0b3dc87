import { createInterface } from "node:readline";
import type { Generation } from "../api.ts";

/** What a person sees beside the results: progress on standard error, and previews. */

const FRAMES = ["⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏"];
const FRAME_MS = 100;

/** Shows a line of progress until it is stopped. Nothing is shown where standard error is not a terminal. */
export class Progress {
  #text = "sending";
  readonly #started = Date.now();
  readonly #timer: NodeJS.Timeout | null = null;

  constructor() {
    if (process.stderr.isTTY) this.#timer = setInterval(() => this.#draw(), FRAME_MS);
  }

  show({ status, estimated_wait_seconds: wait }: Generation): void {
    this.#text = typeof wait === "number" && wait > 0 ? `${status}, begins in about ${wait} s` : status;
  }

  stop(): void {
    if (this.#timer === null) return;
    clearInterval(this.#timer);
    process.stderr.write("\r\x1b[K");
  }

  #draw(): void {
    const elapsed = Date.now() - this.#started;
    const frame = FRAMES[Math.floor(elapsed / FRAME_MS) % FRAMES.length];
    process.stderr.write(`\r\x1b[K${frame} ${this.#text}, ${Math.round(elapsed / 1000)} s`);
  }
}

/** The most base64 that the kitty protocol takes in one piece. */
const KITTY_PIECE = 4096;

/**
 * The escape sequence that shows an image, or null where the terminal is not known to show any. kitty and Ghostty:
 * https://sw.kovidgoyal.net/kitty/graphics-protocol/ (PNG only); iTerm2 and WezTerm: https://iterm2.com/documentation-images.html
 */
export function previewOf(
  bytes: Uint8Array,
  contentType: string,
  { TERM, TERM_PROGRAM, KITTY_WINDOW_ID }: NodeJS.ProcessEnv,
): string | null {
  const data = Buffer.from(bytes).toString("base64");
  const isKitty = TERM === "xterm-kitty" || KITTY_WINDOW_ID !== undefined || TERM_PROGRAM === "ghostty";
  if (isKitty && contentType === "image/png") {
    const pieces = Array.from({ length: Math.ceil(data.length / KITTY_PIECE) }, (_, index) =>
      data.slice(index * KITTY_PIECE, (index + 1) * KITTY_PIECE),
    );
    const control = (index: number) =>
      `${index === 0 ? "f=100,a=T,c=40," : ""}m=${index === pieces.length - 1 ? 0 : 1}`;
    return `${pieces.map((piece, index) => `\x1b_G${control(index)};${piece}\x1b\\`).join("")}\n`;
  }
  if (TERM_PROGRAM === "iTerm.app" || TERM_PROGRAM === "WezTerm")
    return `\x1b]1337;File=inline=1;width=40;size=${bytes.length}:${data}\x07\n`;
  return null;
}

/** Asks for a secret without showing it; without a terminal, reads the first line of standard input. */
export async function readSecret(question: string): Promise<string> {
  const isTerminal = process.stdin.isTTY && process.stderr.isTTY;
  if (isTerminal) process.stderr.write(question);
  const lines = createInterface({ input: process.stdin, terminal: isTerminal });
  try {
    for await (const line of lines) return line.trim();
    return "";
  } finally {
    lines.close();
    if (isTerminal) process.stderr.write("\n");
  }
}

/** All of standard input. */
export async function readInput(): Promise<string> {
  let text = "";
  process.stdin.setEncoding("utf8");
  for await (const piece of process.stdin) text += piece;
  return text.trim();
}
