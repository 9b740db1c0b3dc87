import type { Colour } from "./colour.ts";

/** One row of the image: red, green and blue of each column, 0 to 255, not rounded. */
export type Row = Float32Array;

export function between(from: Colour, to: Colour, share: number): Colour {
  return [
    from[0] + (to[0] - from[0]) * share,
    from[1] + (to[1] - from[1]) * share,
    from[2] + (to[2] - from[2]) * share,
  ];
}

/** Blends a colour over a pixel. */
export function blend(out: Row, at: number, colour: Colour, share: number): void {
  const rest = 1 - share;
  out[at] = (out[at] ?? 0) * rest + colour[0] * share;
  out[at + 1] = (out[at + 1] ?? 0) * rest + colour[1] * share;
  out[at + 2] = (out[at + 2] ?? 0) * rest + colour[2] * share;
}

/** Adds light to a pixel, without exceeding white. */
export function screen(out: Row, at: number, colour: Colour, share: number): void {
  for (let channel = 0; channel < 3; channel++) {
    const value = out[at + channel] ?? 0;
    out[at + channel] = value + (255 - value) * ((colour[channel] ?? 0) / 255) * share;
  }
}
