/**
 * The scenario of a test key's generation, from the header `X-Test-Scenario`: its outcome, and a delay before it. Plain
 * data.
 */

/** The name of the header. */
export const SCENARIO = "X-Test-Scenario";

/** The longest delay that a scenario may ask for. */
export const DELAY_SECONDS_MAX = 60;

/** `insufficient` refuses the request; the others end the generation. `partial`: only so many images come. */
type TestOutcome =
  | { kind: "partial"; images: number }
  | { kind: "fail" | "refuse" | "timeout" | "insufficient" };

export type TestScenario = {
  /** Null: the images come. */
  outcome: TestOutcome | null;
  delaySeconds: number;
};

/** The scenario of a test key without the header. */
export const AS_USUAL: TestScenario = { outcome: null, delaySeconds: 0 };

/**
 * Reads the header: one outcome, a delay, or both, separated by a comma.
 * @returns the rule that it breaks, as a sentence, where it is not valid
 */
export function readScenario(text: string): TestScenario | string {
  const parts = text.split(",").map((part) => part.trim());
  const delays: number[] = [];
  const outcomes: TestOutcome[] = [];
  for (const part of parts) {
    const delay = readDelay(part);
    const outcome = delay === null ? readOutcome(part) : null;
    if (delay !== null) delays.push(delay);
    else if (outcome !== null) outcomes.push(outcome);
    else return RULE;
  }
  if (delays.length > 1 || outcomes.length > 1) return `${SCENARIO} takes one outcome and one delay.`;
  return { outcome: outcomes[0] ?? null, delaySeconds: delays[0] ?? 0 };
}

const RULE = `${SCENARIO} must be partial=K, fail, refuse, timeout, insufficient, or delay=SECONDS of at most ${DELAY_SECONDS_MAX}; an outcome and a delay are separated by a comma.`;

function readDelay(part: string): number | null {
  const [, digits] = /^delay=(\d{1,2})$/.exec(part) ?? [];
  const seconds = Number(digits ?? Number.NaN);
  return seconds <= DELAY_SECONDS_MAX ? seconds : null;
}

function readOutcome(part: string): TestOutcome | null {
  switch (part) {
    case "fail":
    case "refuse":
    case "timeout":
    case "insufficient":
      return { kind: part };
    default: {
      const [, images] = /^partial=([1-9]\d{0,2})$/.exec(part) ?? [];
      return images === undefined ? null : { kind: "partial", images: Number(images) };
    }
  }
}
