import type { Time } from "./palettes.ts";

export type Place = "mountains" | "sea" | "forest" | "desert" | "city" | "hills";
export type Feature =
  | "lighthouse"
  | "boat"
  | "cabin"
  | "balloon"
  | "birds"
  | "water"
  | "snow"
  | "aurora"
  | "autumn"
  | "storm";

/** The parts of a prompt that the sketch can draw. */
export type Wishes = {
  time: Time | null;
  place: Place | null;
  features: ReadonlySet<Feature>;
  /** A hue in radians of OKLab, when a colour is named. */
  hue: number | null;
};

/** Reads the English and Turkish words of a prompt. The first that names a time, a place or a colour decides it. */
export function readWishes(prompt: string): Wishes {
  const words = prompt.toLowerCase().match(/\p{L}+/gu) ?? [];
  return {
    time: firstOf(words, TIMES),
    place: firstOf(words, PLACES),
    features: new Set(words.flatMap((word) => entryOf(word, FEATURES) ?? [])),
    hue: firstOf(words, HUES),
  };
}

function firstOf<Value>(words: readonly string[], meanings: ReadonlyMap<string, Value>): Value | null {
  for (const word of words) {
    const value = entryOf(word, meanings);
    if (value !== undefined) return value;
  }
  return null;
}

/** Plurals, and the Turkish "in" and "at". */
const ENDINGS = ["", "s", "es", "y", "ler", "lar", "de", "da", "te", "ta", "nde", "nda"];

function entryOf<Value>(word: string, meanings: ReadonlyMap<string, Value>): Value | undefined {
  for (const ending of ENDINGS) {
    const value = word.endsWith(ending)
      ? meanings.get(word.slice(0, word.length - ending.length))
      : undefined;
    if (value !== undefined) return value;
  }
  return undefined;
}

const TIMES = meanings<Time>([
  ["dawn", "dawn sunrise morning early şafak sabah gündoğumu"],
  ["day", "day noon midday sunny sunlight summer bright spring gündüz öğle güneşli yaz bahar"],
  ["golden", "golden autumn fall afternoon warm harvest sonbahar ikindi"],
  ["dusk", "dusk sunset evening twilight gloaming günbatımı batımı akşam alacakaranlık"],
  [
    "night",
    "night midnight moon moonlight moonlit star starry dark aurora northern neon space gece ay yıldız yıldızlı karanlık",
  ],
  [
    "mist",
    "mist misty fog foggy rain rainy storm stormy cloudy overcast winter sis sisli yağmur fırtına kış",
  ],
]);

const PLACES = meanings<Place>([
  [
    "sea",
    "sea ocean beach coast island lighthouse boat ship sail sailboat harbor harbour wave bay whale fish deniz okyanus sahil ada fener tekne gemi kumsal",
  ],
  ["mountains", "mountain alp peak summit volcano glacier fjord snow ski lake dağ zirve göl kar"],
  ["forest", "forest wood tree pine jungle fox bear deer wolf orman ağaç çam tilki"],
  ["desert", "desert dune sand sahara camel cactus canyon mars cappadocia kapadokya çöl kum kaktüs"],
  [
    "city",
    "city town skyline skyscraper street building tower urban robot car neon cyberpunk istanbul tokyo york şehir kent sokak kule",
  ],
  [
    "hills",
    "hill field meadow valley farm village countryside garden flower cabin cottage house horse cow windmill balloon balon tepe tarla köy çayır bahçe çiçek ev",
  ],
]);

const FEATURES = meanings<Feature>([
  ["lighthouse", "lighthouse fener"],
  ["boat", "boat ship sail sailboat tekne gemi yelkenli"],
  ["cabin", "cabin cottage house hut farm ev kulübe"],
  ["balloon", "balloon hot kapadokya cappadocia balon"],
  ["birds", "bird gull seagull crow eagle flock kuş martı"],
  ["water", "lake river water reflection pond fjord harbor harbour bay göl nehir su yansıma boğaz"],
  ["snow", "snow snowy winter ice icy glacier ski frost kar karlı kış buz"],
  ["aurora", "aurora northern borealis kuzey"],
  ["autumn", "autumn fall sonbahar"],
  ["storm", "storm stormy rain rainy cloudy overcast fırtına yağmur"],
]);

const HUES = meanings<number>([
  [0.4, "red crimson scarlet ruby kırmızı kızıl"],
  [0.9, "orange copper amber turuncu"],
  [1.6, "gold yellow sarı altın"],
  [2.5, "green emerald lime yeşil"],
  [3.4, "teal turquoise cyan aqua turkuaz"],
  [4.5, "blue azure navy indigo mavi lacivert"],
  [5.3, "purple violet lilac lavender mor eflatun"],
  [6.1, "pink magenta rose pembe"],
]);

function meanings<Value>(table: readonly (readonly [Value, string])[]): ReadonlyMap<string, Value> {
  return new Map(table.flatMap(([value, words]) => words.split(" ").map((word) => [word, value] as const)));
}
