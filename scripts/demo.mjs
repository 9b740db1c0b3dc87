/** `npm run demo -- "a prompt"`: generates an image through the public API and saves it in the current directory. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs } from "node:util";
import { Failure, main } from "./lib.mjs";
import { accepted, callApi, numberOf, pick, textOf } from "./service/api.mjs";
import { findRunning } from "./service/demo-account.mjs";
import { readSettings, startService } from "./service.mjs";

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
    await generateImage(settings.origin, key, { prompt, size }, stop);
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
 * @param {{ prompt: string, size: string }} input
 * @param {AbortSignal} stop
 */
async function generateImage(origin, key, input, stop) {
  const progress = startProgress();
  try {
    const request = { model: "gpt-image-2", ...input, async: true };
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
    const file = save(await download(textOf(answer.body, "images", 0, "url")), input.prompt);
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
    throw new Failure(`The download of ${url} failed: ${error.message}`);
  });
  if (!response.ok) throw new Failure(`The download of ${url} failed: ${response.status}`);
  return new Uint8Array(await response.arrayBuffer());
}

/**
 * Saves the image with a name made of its prompt, with a number if the name exists.
 * @param {Uint8Array} bytes
 * @param {string} prompt
 * @returns {string} the file's path
 */
function save(bytes, prompt) {
  const words = prompt.toLowerCase().match(/[\p{L}\p{N}]+/gu) ?? ["image"];
  const slug = [...words.join("-")].slice(0, SLUG_CHARACTERS_MAX).join("").replace(/-$/, "");
  // npm runs scripts in the project's directory; INIT_CWD is where npm was called.
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

/** Shows a spinner with the seconds on a terminal, otherwise one line for each change of status. */
function startProgress() {
  const began = Date.now();
  const { stderr } = process;
  let status = "sending";
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
