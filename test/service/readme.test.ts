import { execFile } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { root } from "../../scripts/lib.mjs";
import { models, priceOf } from "../../src/catalogue/models.ts";
import { supportedSizes } from "../../src/catalogue/shape.ts";
import { formatSize, sizeOf, TIER_LIMITS, tiers } from "../../src/catalogue/sizes.ts";
import { type RunningService, startService } from "../support/service.ts";

/** The address of the service in the documents. */
const DOCUMENTED_ORIGIN = "http://127.0.0.1:8787";
const MARK = "=== end of example, status ";
const RUN = new RegExp(`(.*?)${MARK}(\\d+)\\n`, "gs");

type Example = { command: string; answer: string | null };

let service: RunningService;

beforeAll(async () => {
  service = await startService();
});

afterAll(async () => {
  await service.stop();
});

describe.each(["README.md", "docs/operations.md"])("the examples of %s", (document) => {
  const examples = readExamples(document);
  let runs: Awaited<ReturnType<typeof runInOneShell>>;

  beforeAll(async () => {
    runs = await runInOneShell(examples);
  });

  it("are found", () => {
    expect(examples.length).toBeGreaterThan(3);
  });

  it.each(examples.map((example, index) => [example.command.split("\n", 1).join(), index] as const))(
    "%s (%i) answers as documented",
    (_, index) => {
      const { answer } = examples[index] ?? { answer: null };
      expect(runs[index]?.status).toBe(0);
      const printed = runs[index]?.printed ?? "";
      if (answer === null) expect(printed).toBe("");
      else
        expect(mask(JSON.parse(printed), service.origin)).toEqual(
          mask(JSON.parse(answer), DOCUMENTED_ORIGIN),
        );
    },
  );
});

it("the test suite of docs/test-keys.md passes", async () => {
  const text = readFileSync(join(root, "docs/test-keys.md"), "utf8");
  const [, suite = ""] = /^```js\n(.*?)^```$/ms.exec(text) ?? [];
  const file = join(service.directory, "hub.test.mjs");
  writeFileSync(file, suite);
  const { stdout } = await promisify(execFile)(process.execPath, ["--test", file], {
    env: {
      ...process.env,
      GIH_URL: service.origin,
      GIH_TEST_KEY: readFileSync(join(service.stateDirectory, "demo-test-key"), "utf8"),
    },
  });
  expect(stdout).toMatch(/^(# |ℹ )pass 7$/m);
  expect(stdout).toMatch(/^(# |ℹ )fail 0$/m);
});

describe("the tables of README.md", () => {
  const [model] = models;
  const rows = readTableRows("README.md");

  it.each(models)("have the credits of $id", (shown) => {
    const credits = tiers.map((tier) => String(shown.credits[tier] ?? "–"));
    expect(rows).toContainEqual([`\`${shown.id}\``, ...credits]);
  });

  it.each(models)("have the limits of $id, in docs/models.md", (shown) => {
    expect(readTableRows("docs/models.md")).toContainEqual([
      `\`${shown.id}\``,
      shown.supported_qualities.join(", "),
      shown.supported_qualities.map((tier) => priceOf(shown, tier, 1)).join(", "),
      String(supportedSizes(shown)?.length ?? "any"),
      shown.supported_output_formats.join(", ") || "provider's choice",
      String(shown.reference_image_limit),
      String(shown.promptMax),
    ]);
  });

  it.each(model.supported_qualities)("have the pixels and the price of %s", (tier) => {
    const price = priceOf(model, tier, 1);
    expect(rows).toContainEqual([tier, `up to ${TIER_LIMITS[tier].pixelsMax}`, String(price)]);
  });

  it.each(["1:1", "5:4", "4:3", "3:2", "16:9", "2:1", "21:9", "3:1"] as const)(
    "have the sizes of %s",
    (ratio) => {
      const sizes = model.supported_qualities.map((tier) => formatSize(sizeOf(ratio, tier)));
      expect(rows).toContainEqual([ratio, ...sizes]);
    },
  );
});

it.each(["README.md", "CONTRIBUTING.md", "docs/architecture.md", "docs/models.md", "docs/operations.md"])(
  "every file that %s points to is there",
  (document) => {
    const text = readFileSync(join(root, document), "utf8");
    const targets = [...text.matchAll(/\]\(([^):#]+)[^):]*\)/g)].map(([, target = ""]) => target);
    expect(targets).not.toEqual([]);
    expect(targets.filter((target) => !existsSync(join(root, document, "..", target)))).toEqual([]);
  },
);

/** Each shell block that contains curl, and the JSON block between it and the next shell block, if any. */
function readExamples(document: string): Example[] {
  const text = readFileSync(join(root, document), "utf8");
  const blocks = [...text.matchAll(/^```(sh|json)\n(.*?)^```$/gms)].map(([, language, content = ""]) => ({
    language,
    content,
  }));
  return blocks.flatMap(({ language, content }, index) => {
    if (language !== "sh" || !/\bcurl\b/.test(content)) return [];
    const next = blocks[index + 1];
    return [{ command: content, answer: next?.language === "json" ? next.content : null }];
  });
}

/** The output and exit status of each example. All run in one shell, as for a reader. */
async function runInOneShell(examples: Example[]): Promise<{ printed: string; status: number }[]> {
  const script = examples.map(({ command }) => `${command}\nprintf '${MARK}%s\\n' "$?"`).join("\n");
  const { stdout } = await promisify(execFile)("bash", ["-c", script], {
    cwd: mkdtempSync(join(service.directory, "shell-")),
    env: {
      ...process.env,
      GIH_URL: service.origin,
      GIH_KEY: readFileSync(join(service.stateDirectory, "demo-key"), "utf8"),
      ADMIN_TOKEN: readFileSync(join(service.stateDirectory, "admin-token"), "utf8"),
    },
    timeout: 60_000,
  });
  return [...stdout.matchAll(RUN)].map(([, printed = "", status]) => ({ printed, status: Number(status) }));
}

/** Replaces the values that differ between runs by the name of their format. */
function mask(value: unknown, from: string): unknown {
  if (typeof value === "string") return maskText(value, from);
  if (Array.isArray(value)) return value.map((item) => mask(item, from));
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).map(([name, member]) => [
      name,
      name === "bytes" && typeof member === "number" ? "some bytes" : mask(member, from),
    ]),
  );
}

function maskText(text: string, from: string): string {
  return text
    .replaceAll(from, "<origin>")
    .replace(/[0-7][0-9A-HJKMNP-TV-Z]{25}/g, "<ulid>")
    .replace(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/, "<time>")
    .replace(/^gih_live_[0-9A-Za-z]{32}$/, "<key>")
    .replace(/^gih_live_[0-9A-Za-z]{4}$/, "<display of a key>");
}

function readTableRows(document: string): string[][] {
  const lines = readFileSync(join(root, document), "utf8").split("\n");
  return lines
    .filter((line) => line.startsWith("| "))
    .map((line) =>
      line
        .split("|")
        .slice(1, -1)
        .map((cell) => cell.trim()),
    );
}
