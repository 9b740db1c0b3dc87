/** `npm run demo -- "a prompt"`: one picture through the public API, saved in the current directory. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs } from "node:util";
import { Failure, main } from "./lib.mjs";
import {
  accepted,
  callApi,
  findRunning,
  numberOf,
  pick,
  readSettings,
  startService,
  textOf,
} from "./service.mjs";

const USAGE = 'Usage: npm run demo -- "a lighthouse at dusk" [--size 1536x1024]';
const POLL_SECONDS_DEFAULT = 1;
const SPINNER = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏";
const SLUG_CHARACTERS_MAX = 50;

await main(async (stop) => {
  const { prompt, size } = readArguments();
  const settings = readSettings();
  const running = await findRunning(settings);
  const started = running ? undefined : await startService(settings, { stop, say: console.log });
  const key = (running ?? started?.demo)?.key ?? "";
  try {
    await makePicture(settings.origin, key, { prompt, size }, stop);
    return 0;
  } finally {
    await started?.stop();
  }
});

function readArguments() {
  try {
    const { values, positionals } = parseArgs({
      options: { size: { type: "string" } },
      allowPositionals: true,
    });
    const prompt = positionals.join(" ").trim();
    if (prompt !== "") return { prompt, size: values.size ?? "1024x1024" };
  } catch (error) {
    throw new Failure(`${error instanceof Error ? error.message : error}\n${USAGE}`);
  }
  throw new Failure(USAGE);
}

/**
 * @param {string} origin
 * @param {string} key
 * @param {{ prompt: string, size: string }} wish
 * @param {AbortSignal} stop
 */
async function makePicture(origin, key, wish, stop) {
  const progress = startProgress();
  try {
    const request = { model: "gpt-image-2", ...wish, async: true };
    let answer = await callApi(`${origin}/api/v1/images/generations`, key, request);
    const id = textOf(accepted(answer), "id");
    for (;;) {
      const status = textOf(accepted(answer), "status");
      progress.show(status);
      if (status === "succeeded") break;
      if (status === "failed" || status === "canceled") {
        const message = pick(answer.body, "error", "message");
        throw new Failure(typeof message === "string" ? message : `The generation was ${status}.`);
      }
      const seconds = Number(answer.headers.get("retry-after")) || POLL_SECONDS_DEFAULT;
      await sleep(seconds * 1000, undefined, { signal: stop });
      answer = await callApi(`${origin}/api/v1/generations/${id}`, key);
    }
    const file = save(await download(textOf(answer.body, "images", 0, "url")), wish.prompt);
    const balance = accepted(await callApi(`${origin}/api/v1/credits`, key));
    progress.end();
    const width = numberOf(answer.body, "images", 0, "width");
    const height = numberOf(answer.body, "images", 0, "height");
    console.log(file);
    console.log(
      `${width}×${height}, ${numberOf(answer.body, "usage", "credits")} credits, ${numberOf(balance, "credits")} left`,
    );
  } finally {
    progress.end();
  }
}

/** @param {string} url */
async function download(url) {
  const response = await fetch(url).catch((error) => {
    throw new Failure(`The picture at ${url} could not be fetched: ${error.message}`);
  });
  if (!response.ok) throw new Failure(`The picture at ${url} could not be fetched: ${response.status}`);
  return new Uint8Array(await response.arrayBuffer());
}

/**
 * Saves the picture under a name made of its prompt, beside whatever has that name already.
 * @param {Uint8Array} bytes
 * @param {string} prompt
 * @returns {string} the file's path
 */
function save(bytes, prompt) {
  const words = prompt.toLowerCase().match(/[\p{L}\p{N}]+/gu) ?? ["picture"];
  const slug = [...words.join("-")].slice(0, SLUG_CHARACTERS_MAX).join("").replace(/-$/, "");
  // npm runs scripts in the project's directory and tells where the person stands.
  const directory = process.env["INIT_CWD"] ?? process.cwd();
  for (let count = 1; ; count++) {
    const file = join(directory, `${slug}${count === 1 ? "" : `-${count}`}.png`);
    try {
      writeFileSync(file, bytes, { flag: "wx" });
      return file;
    } catch (error) {
      if (!(error instanceof Error && "code" in error && error.code === "EEXIST")) throw error;
    }
  }
}

/** A spinner with the seconds on a terminal; elsewhere one line for each change. */
function startProgress() {
  const began = Date.now();
  const { stderr } = process;
  let status = "asking";
  let frame = 0;
  const draw = () => {
    const seconds = Math.floor((Date.now() - began) / 1000);
    frame = (frame + 1) % SPINNER.length;
    stderr.write(`\r\x1b[K${SPINNER[frame]} ${status} ${seconds} s`);
  };
  const timer = stderr.isTTY ? setInterval(draw, 100) : undefined;
  return {
    /** @param {string} next */
    show(next) {
      if (timer === undefined && next !== status) console.error(next);
      status = next;
    },
    end() {
      if (timer === undefined) return;
      clearInterval(timer);
      stderr.write("\r\x1b[K");
    },
  };
}
