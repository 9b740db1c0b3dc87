import type { Colour } from "./colour.ts";
import type { Shape } from "./shapes.ts";

/** The content of an image, as data in pixels. Values that depend only on the column or the row are precomputed. */
export type Scene = {
  width: number;
  height: number;
  seed: number;
  /** The unit of length: about the edge of a square with the same area. */
  unit: number;
  horizon: number;
  /** Red, green and blue for each row down to the horizon. */
  sky: Float32Array;
  light: Light;
  stars: Star[];
  clouds: Clouds | null;
  curtains: Curtain[];
  /** From the farthest: what stands behind the water, and what stands before it. */
  backdrop: Layer[];
  foreground: Layer[];
  water: { colour: Colour; glitter: Colour; roughness: number; strength: number } | null;
  lamps: Lamp[];
  beam: { x: number; y: number; angle: number; colour: Colour } | null;
};

export type Light = {
  x: number;
  y: number;
  radius: number;
  disc: Colour;
  glow: Colour;
  /** Share of the glow at its middle, and its reach in pixels. */
  strength: number;
  reach: number;
  /** A moon has a face, and may be a crescent: `bite` radii of it are in the dark. */
  moon: boolean;
  bite: number;
};
export type Star = { x: number; y: number; radius: number; strength: number };
export type Clouds = {
  lit: Colour;
  shade: Colour;
  cover: number;
  opacity: number;
  scale: number;
  stretch: number;
  octaves: number;
};
/** One veil of northern lights: for each column its lower edge, its height in pixels and its strength. */
export type Curtain = {
  edge: Float32Array;
  rise: Float32Array;
  strength: Float32Array;
  low: Colour;
  high: Colour;
};
type Lamp = { x: number; y: number; reach: number; colour: Colour; strength: number };

/** What quality buys: how much is in the picture. */
export type Detail = { octaves: number; cloudOctaves: number; amount: number; extraLayers: number };

/** One ridge of land from its crest to the bottom of the picture, with what stands behind its edge. */
export type Layer = {
  behind: Shape[];
  ridge: Ridge;
  /** 0 is the farthest, 1 the nearest. */
  depth: number;
};

export type Ridge = {
  /** For each column, the y of the crest. */
  crest: Float32Array;
  /** For each column, the change of the crest from column to column. */
  slope: Float32Array;
  /** For each column, the row from which nearer land of the same group hides this ridge. */
  hidden: Float32Array;
  crestTop: number;
  crestBottom: number;
  upper: Colour;
  lower: Colour;
  /** The row at which `lower` is reached. */
  lowerAt: number;
  /** How its faces take the light, or null for a plain silhouette. */
  relief: Relief | null;
  windows: Windows | null;
};

export type Relief = {
  /** For each column, from -1 in the shade to 1 in the light, and the same more coarsely. */
  fine: Float32Array;
  coarse: Float32Array;
  lit: Colour;
  shaded: Colour;
  strength: number;
  /** How far faces go and wander sideways as they go down. */
  lean: number;
  wander: number;
  snow: { line: number; lit: Colour; shaded: Colour } | null;
};

/** Lit windows: for each column the left edge of its building and the building's number. */
export type Windows = {
  left: Float32Array;
  building: Int32Array;
  pitch: number;
  share: number;
  colour: Colour;
};
