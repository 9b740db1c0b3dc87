import { type Colour, hex } from "./colour.ts";

export type Time = "dawn" | "day" | "golden" | "dusk" | "night" | "mist";

/** Colours that go together. `sky` runs from the zenith to the horizon. */
export type Palette = {
  sky: readonly [Colour, ...Colour[]];
  /** The disc of the sun or moon, and the air around it. */
  light: Colour;
  glow: Colour;
  /** The farthest and the nearest land. */
  far: Colour;
  near: Colour;
  cloudLit: Colour;
  cloudShade: Colour;
};

export const PALETTES: Record<Time, readonly [Palette, ...Palette[]]> = {
  dawn: [
    palette(
      "#4f76ad #8fb0d8 #d9c8da #ffd9c4 #fff0cf",
      "#fffbe6 #ffe0a8",
      "#d9bcc9 #22344f",
      "#fff0e2 #b9a9c6",
    ),
    palette(
      "#2f4a78 #6f86bd #cf9fc0 #f7bfa6 #ffe6b4",
      "#fff6dc #ffc998",
      "#c995b0 #1c2440",
      "#ffd3c0 #8a79ad",
    ),
    palette(
      "#3f8197 #8cc3c6 #e9e0c6 #fdcf9f #ffe5bd",
      "#fff8e0 #ffd394",
      "#a9c3ba #14343b",
      "#fff0d8 #8fb0b3",
    ),
  ],
  day: [
    palette("#1f6db8 #4f9ddb #98cdee #dff1f4", "#fffdf0 #fff3cf", "#a3cae0 #123f33", "#ffffff #a9c6de"),
    palette("#3169a3 #77aed6 #c9e3ea #f8f0da", "#fffdf0 #ffefc4", "#adc9d3 #24452c", "#fffdf6 #a7bccb"),
    palette("#14808f #5dbbbd #c0e8db #fdf6d8", "#fffdf0 #fff0bd", "#94cdc4 #0c433f", "#ffffff #93c3c6"),
  ],
  golden: [
    palette(
      "#47648a #94a9b2 #ead3a0 #f9bf66 #f5a04b",
      "#fffbe0 #ffd77a",
      "#dba268 #331f17",
      "#ffe2a8 #9a8590",
    ),
    palette(
      "#3d4f7c #8f7f9e #e3a383 #fbb45c #ffd27c",
      "#fff6d2 #ffc35c",
      "#d08f6c #2a1a24",
      "#ffcf94 #86698a",
    ),
  ],
  dusk: [
    palette(
      "#191a40 #412f6c #91406f #e07060 #f8b26a #fde0a0",
      "#fff3cf #ffbf78",
      "#c9647a #160f2a",
      "#ff9f7c #5d3468",
    ),
    palette(
      "#0e2741 #23566f #6c9f9d #f0c38e #f79f6b",
      "#fff2d2 #ffc080",
      "#8f8f8c #0a1822",
      "#ffc79a #3c6678",
    ),
    palette(
      "#27265a #64498f #b26bab #f29ca6 #ffd3b0",
      "#fff1e0 #ffb9a8",
      "#b573a5 #1a1434",
      "#ffb7b4 #6b4b92",
    ),
    palette(
      "#20102e #5a1c40 #a5313f #e8663d #fbb34d",
      "#fff0c4 #ff9d4a",
      "#b9423f #14080e",
      "#ff8f55 #54203f",
    ),
  ],
  night: [
    palette(
      "#050a1e #0b1a3d #193363 #3a5f92 #88a0bd",
      "#f7f3e0 #a9c0ea",
      "#3a5c8c #030712",
      "#8ea9d3 #152a52",
    ),
    palette(
      "#0a0820 #1b1345 #382970 #66499a #b186b4",
      "#fdf0e6 #c0a0e6",
      "#5c4690 #060413",
      "#a58fd0 #241a52",
    ),
    palette(
      "#031219 #072c38 #104f58 #388283 #9fc0a8",
      "#f5f4df #a3d9c9",
      "#2d7078 #01090d",
      "#7fb9b0 #0a3540",
    ),
  ],
  mist: [
    palette(
      "#4a5764 #76848f #a6b1b6 #ccd2d0 #e2e4de",
      "#fbfbf4 #f1efe4",
      "#bcc5c6 #172329",
      "#eceeea #87939c",
    ),
    palette(
      "#54616f #8d97a3 #bdbec4 #ded6d0 #f2e4d4",
      "#fffaf0 #fbe8d2",
      "#cbc6c4 #222630",
      "#f6ece2 #9698a4",
    ),
  ],
};

function palette(sky: string, sun: string, land: string, clouds: string): Palette {
  const [first = hex("#000000"), ...others] = sky.split(" ").map(hex);
  const pair = (codes: string): [Colour, Colour] => [hex(codes.slice(0, 7)), hex(codes.slice(8))];
  const [light, glow] = pair(sun);
  const [far, near] = pair(land);
  const [cloudLit, cloudShade] = pair(clouds);
  return { sky: [first, ...others], light, glow, far, near, cloudLit, cloudShade };
}
