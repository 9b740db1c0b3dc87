/** An sRGB colour: three numbers from 0 to 255, not rounded. */
export type Colour = readonly [red: number, green: number, blue: number];

type Lab = readonly [lightness: number, a: number, b: number];

/** Mixes two colours in OKLab (Björn Ottosson, 2020), so that blends do not pass through grey. */
export function mix(from: Colour, to: Colour, amount: number): Colour {
  const start = toLab(from);
  const end = toLab(to);
  const at = (index: 0 | 1 | 2) => start[index] + (end[index] - start[index]) * amount;
  return fromLab([at(0), at(1), at(2)]);
}

/** Parses `#rrggbb`. */
export function hex(code: string): Colour {
  const value = Number.parseInt(code.slice(1), 16);
  return [value >> 16, (value >> 8) & 255, value & 255];
}

/** Turns the hue by `radians` and scales the colourfulness, keeping the lightness. */
export function turnHue(colour: Colour, radians: number, scale: number): Colour {
  const [lightness, a, b] = toLab(colour);
  const cosine = Math.cos(radians) * scale;
  const sine = Math.sin(radians) * scale;
  return fromLab([lightness, a * cosine - b * sine, a * sine + b * cosine]);
}

/** `count` colours, as triples in one array, evenly along the stops from the first to the last. */
export function gradient(stops: readonly [Colour, ...Colour[]], count: number): Float32Array {
  const colours = new Float32Array(count * 3);
  for (let index = 0; index < count; index++) {
    const place = (index / Math.max(1, count - 1)) * (stops.length - 1);
    const first = Math.min(Math.floor(place), stops.length - 1);
    const from = stops[first] ?? stops[0];
    colours.set(mix(from, stops[first + 1] ?? from, place - first), index * 3);
  }
  return colours;
}

function toLab([red, green, blue]: Colour): Lab {
  const [r, g, b] = [toLinear(red), toLinear(green), toLinear(blue)];
  const long = Math.cbrt(0.4122214708 * r + 0.5363325363 * g + 0.0514459929 * b);
  const medium = Math.cbrt(0.2119034982 * r + 0.6806995451 * g + 0.1073969566 * b);
  const short = Math.cbrt(0.0883024619 * r + 0.2817188376 * g + 0.6299787005 * b);
  return [
    0.2104542553 * long + 0.793617785 * medium - 0.0040720468 * short,
    1.9779984951 * long - 2.428592205 * medium + 0.4505937099 * short,
    0.0259040371 * long + 0.7827717662 * medium - 0.808675766 * short,
  ];
}

function fromLab([lightness, a, b]: Lab): Colour {
  const long = (lightness + 0.3963377774 * a + 0.2158037573 * b) ** 3;
  const medium = (lightness - 0.1055613458 * a - 0.0638541728 * b) ** 3;
  const short = (lightness - 0.0894841775 * a - 1.291485548 * b) ** 3;
  return [
    fromLinear(4.0767416621 * long - 3.3077115913 * medium + 0.2309699292 * short),
    fromLinear(-1.2684380046 * long + 2.6097574011 * medium - 0.3413193965 * short),
    fromLinear(-0.0041960863 * long - 0.7034186147 * medium + 1.707614701 * short),
  ];
}

function toLinear(value: number): number {
  const share = value / 255;
  return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
}

function fromLinear(value: number): number {
  const share = Math.min(1, Math.max(0, value));
  return 255 * (share <= 0.0031308 ? share * 12.92 : 1.055 * share ** (1 / 2.4) - 0.055);
}
