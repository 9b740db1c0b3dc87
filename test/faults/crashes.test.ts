import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { CRASHES, type Crash, watchSteps } from "./steps.ts";
import { audit, play, STORIES, type Story } from "./stories.ts";

const DAY_MS = 86_400_000;
/** The waits between tries are not waited for; those that bound a try are. */
const BOUND_MS_MIN = 3_000;
/** Ten times what it takes on an idle machine. */
const TIMEOUT_MS = 240_000;

/** Of each story, every step in order, and how many crashes it stood. */
const proven: { story: Story; steps: string[]; crashes: number }[] = [];
let unwatch = () => {};

beforeEach(async () => {
  // A year ahead, so that no alarm comes but those that the story lets come.
  vi.useFakeTimers({ toFake: ["Date"], now: Date.now() + 365 * DAY_MS });
  vi.spyOn(console, "log").mockReturnValue();
  vi.spyOn(Math, "random").mockReturnValue(0);
  const { setTimeout } = globalThis;
  vi.spyOn(globalThis, "setTimeout").mockImplementation((work, milliseconds = 0) =>
    setTimeout(work, milliseconds < BOUND_MS_MIN ? milliseconds / 500 : milliseconds),
  );
  unwatch = await watchSteps();
});

afterEach(() => {
  unwatch();
  vi.restoreAllMocks();
  vi.useRealTimers();
});

it.each(STORIES)(
  "$name: whatever step it dies at, nothing is lost, doubled or forgotten",
  async (story) => {
    const whole = await play(story, null);
    await audit(story, whole);
    const { steps } = whole.scene;
    const points = steps.flatMap((step, at) => crashesOf(step).map((crash) => ({ step, at, crash })));
    const failures: string[] = [];
    for (const { step, at, crash } of points) {
      try {
        const played = await play(story, { at, crash });
        expect(played.scene.struck?.step, "the story is the same up to the crash").toBe(step);
        await audit(story, played);
      } catch (error) {
        failures.push(`step ${at}, ${step}, ${crash}: ${error instanceof Error ? error.message : error}`);
      }
    }
    expect(failures).toEqual([]);
    proven.push({ story, steps, crashes: points.length });
  },
  TIMEOUT_MS,
);

it("keeps docs/crash-steps.md as it was proven; vitest's -u rewrites it", async () => {
  await expect(renderDocument()).toMatchFileSnapshot("../../docs/crash-steps.md");
});

/**
 * Inside a transaction every failure takes all of it back, so one is tried. A storage that has done it and fails to say
 * so is an object that dies.
 */
function crashesOf(step: string): readonly Crash[] {
  if (step.endsWith("storage transaction")) return ["refused", "dies before", "dies after"];
  if (step.endsWith("storage setAlarm")) return ["dies before", "dies after"];
  return step.includes(": storage ") ? ["refused"] : CRASHES;
}

function renderDocument(): string {
  const stories = proven.map(
    ({ story, steps, crashes }) =>
      `## ${story.name}\n\n${steps.length} steps, ${crashes} crashes.\n\n${steps.map((step) => `1. ${step}`).join("\n")}\n`,
  );
  return `# Where it was made to crash

Written by \`test/faults/crashes.test.ts\`, from what the running code does: each step that a part of the service takes outside its own memory, in order. Each story was played again for every step and every way in which it can fail: refused; done, but its answer lost; and the death, just before or just after it, of the part that took it. Then queue and alarms went on until nothing was left to do, and the book, the log, the storage and what the client had been told were held against each other. A new step changes this page, and so fails the test until it is looked at.

${stories.join("\n")}`;
}
