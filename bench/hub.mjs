/** The built Worker on the local runtime, with the double of a provider and a memory inspector. */
import { readdirSync, readFileSync } from "node:fs";
import { createServer, request } from "node:http";
import { join } from "node:path";
import { Readable } from "node:stream";
import { text } from "node:stream/consumers";
import { pipeline } from "node:stream/promises";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
// Comes with wrangler, which pins its version.
import { convertV4MiniflareOptions, Log, LogLevel, Miniflare } from "miniflare";
import { unstable_getMiniflareWorkerOptions as readWorkerOptions } from "wrangler";
import { applyMigrations } from "../scripts/databases.mjs";
import { drawImage } from "../test/support/openai-double/images.ts";
import { modulesIn } from "./modules.mjs";

const root = join(fileURLToPath(import.meta.url), "../..");
const ADMIN_TOKEN = "bench-admin-token-of-32-characters";
const NAME = "hub";

/**
 * `fields`: the model, and what else is asked of it. `urls`: where the references are fetched from, instead of a form
 * that has them.
 * @typedef {{ fields: Record<string, string>, images: number, imageBytes: number, references: number, referenceBytes: number, urls?: string }} Work
 * @typedef {{ generate: (work: Work) => Promise<void>, liveBytes: () => Promise<number>,
 *   peakResidentBytes: () => number, stop: () => Promise<void> }} Hub
 */

/**
 * @param {string} directory where the Worker was built, and where its state goes
 * @param {string} state
 * @param {Record<string, string>} provider the settings of the provider
 * @returns {Promise<Hub>}
 */
export async function startHub(directory, state, provider) {
  const { workerOptions } = readWorkerOptions(join(root, "wrangler.toml"));
  const bindings = {
    IMAGE_PROVIDER: "openai",
    ...provider,
    ADMIN_TOKEN,
    ALLOW_INSECURE_URLS: "true",
  };
  const before = new Set(runtimes());
  const runtime = new Miniflare(
    convertV4MiniflareOptions({
      host: "127.0.0.1",
      port: 0,
      inspectorPort: 0,
      log: new Log(LogLevel.NONE),
      cf: false,
      handleStructuredLogs: () => {},
      resourcePersistencePath: state,
      ...workerOptions,
      name: NAME,
      bindings,
      modulesRoot: join(directory, "worker"),
      modules: modulesIn(join(directory, "worker")),
    }),
  );
  const origin = await runtime.ready;
  const pid = runtimes().find((candidate) => !before.has(candidate));
  if (pid === undefined) throw new Error("The runtime's process is not to be found.");
  await applyMigrations((binding) => runtime.getD1Database(binding));
  const key = await openAccount(origin);
  const inspector = await openInspector(await runtime.getInspectorURL());
  return {
    generate: (work) => generate(origin, key, work),
    async liveBytes() {
      // The inspector of an idle isolate responds only after seconds.
      let asking = true;
      const live = inspector.liveBytes().finally(() => {
        asking = false;
      });
      while (asking) {
        await (await fetch(new URL("/api/v1/models/none", origin))).arrayBuffer();
        await Promise.race([live, sleep(5)]);
      }
      return live;
    },
    peakResidentBytes: () => peakResidentBytes(pid),
    async stop() {
      inspector.close();
      await runtime.dispose();
    },
  };
}

/**
 * @param {URL} origin
 * @returns {Promise<string>} its key
 */
async function openAccount(origin) {
  /** @param {string} path @param {object} body */
  const operate = async (path, body) => {
    const headers = { authorization: `Bearer ${ADMIN_TOKEN}`, "content-type": "application/json" };
    const init = { method: "POST", headers, body: JSON.stringify(body) };
    const response = await fetch(new URL(`/api/admin${path}`, origin), init);
    if (!response.ok) throw new Error(`The operator's API answered ${response.status}.`);
    return response.json();
  };
  const { id } = await operate("/users", { email: "bench@example.com" });
  await operate(`/users/${id}/credits`, { id: "bench", credits: 1_000_000 });
  return (await operate(`/users/${id}/api_keys`, { name: "bench" })).api_key;
}

/**
 * Runs one sync generation and checks its images.
 * @param {URL} origin
 * @param {string} key
 * @param {Work} work
 */
async function generate(origin, key, work) {
  const { images, imageBytes, references, referenceBytes, urls } = work;
  // A double that is polled has the image at the first poll.
  const fields = { ...work.fields, prompt: `bench [bytes:${imageBytes}] [latency:1]`, n: images };
  const body =
    urls === undefined
      ? formOf(fields, references, referenceBytes)
      : jsonOf({
          ...fields,
          reference_images: Array.from({ length: references }, (_, at) => `${urls}/${at + 1}`),
        });
  const call = request(new URL("/api/v1/images/generations", origin).href, {
    method: "POST",
    agent: false,
    headers: {
      authorization: `Bearer ${key}`,
      "content-type": body.type,
      "content-length": body.bytes,
    },
  });
  const answered = new Promise((resolve, reject) => call.on("response", resolve).on("error", reject));
  await pipeline(Readable.from(body.pieces(), { objectMode: false }), call);
  /** @type {{ images?: { bytes: number }[] }} */
  const answer = JSON.parse(await text(await answered));
  const stored = answer.images?.map(({ bytes }) => bytes) ?? [];
  if (stored.length !== images || stored.some((bytes) => bytes !== imageBytes)) {
    throw new Error(`A generation went wrong: ${JSON.stringify(answer)}`);
  }
}

const BOUNDARY = "----bench";

/**
 * A form whose files are generated as they are sent.
 * @param {Record<string, string | number>} fields
 * @param {number} references
 * @param {number} bytes of each
 */
function formOf(fields, references, bytes) {
  const part = (/** @type {string} */ about) => `--${BOUNDARY}\r\nContent-Disposition: form-data; ${about}`;
  const texts = Object.entries(fields).map(([name, value]) => part(`name="${name}"\r\n\r\n${value}\r\n`));
  const file = part('name="reference_image"; filename="a.png"\r\nContent-Type: image/png\r\n\r\n');
  const end = `--${BOUNDARY}--\r\n`;
  return {
    type: `multipart/form-data; boundary=${BOUNDARY}`,
    bytes: texts.join("").length + references * (file.length + bytes + 2) + end.length,
    async *pieces() {
      yield Buffer.from(texts.join(""));
      for (let seed = 1; seed <= references; seed++) {
        yield Buffer.from(file);
        yield* drawImage({ format: "png", width: 1024, height: 1024, bytes, seed });
        yield Buffer.from("\r\n");
      }
      yield Buffer.from(end);
    },
  };
}

/** @param {object} fields */
function jsonOf(fields) {
  const json = Buffer.from(JSON.stringify(fields));
  return {
    type: "application/json",
    bytes: json.length,
    async *pieces() {
      yield json;
    },
  };
}

/**
 * Serves references of so many bytes, drawn as they are sent: each path is another picture.
 * @param {number} bytes
 */
export async function servePictures(bytes) {
  const server = createServer((request, response) => {
    const seed = Number(request.url?.slice(1));
    const picture = drawImage({ format: "png", width: 1024, height: 1024, bytes, seed });
    pipeline(Readable.from(picture, { objectMode: false }), response).catch(() => response.destroy());
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", () => resolve(null)));
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("The server has no port.");
  return { url: `http://127.0.0.1:${address.port}`, close: () => server.close() };
}

/**
 * The inspector of the Worker's isolate, in which its Durable Objects and its consumer also run.
 * @param {URL} url
 */
async function openInspector(url) {
  const socket = new WebSocket(new URL(`/core:user:${NAME}`, url).href);
  await new Promise((resolve, reject) => {
    socket.addEventListener("open", resolve);
    socket.addEventListener("error", () => reject(new Error("The inspector cannot be reached.")));
  });
  let last = 0;
  /** @type {Map<number, (answer: { result: unknown }) => void>} */
  const waiting = new Map();
  socket.addEventListener("message", ({ data }) => {
    const answer = JSON.parse(String(data));
    waiting.get(answer.id)?.(answer);
    waiting.delete(answer.id);
  });
  /** @param {string} method @returns {Promise<Record<string, number>>} */
  const ask = (method) => {
    const id = ++last;
    socket.send(JSON.stringify({ id, method }));
    return new Promise((resolve, reject) => {
      waiting.set(id, ({ result }) => {
        if (typeof result === "object" && result !== null)
          resolve(Object.fromEntries(Object.entries(result)));
        else reject(new Error(`The inspector refused ${method}.`));
      });
    });
  };
  return {
    /**
     * Live memory: V8's heap after a collection, and the memory of its array buffers. The runtime frees buffers that it
     * was given (a body that was sent) only between two turns, so this waits for the first collection, and sends the
     * second one together with the count, so that little new garbage appears in between.
     */
    async liveBytes() {
      await ask("HeapProfiler.collectGarbage");
      const asked = ["HeapProfiler.collectGarbage", "Runtime.getHeapUsage"];
      const [, usage] = await Promise.all(asked.map(ask));
      return (usage?.["usedSize"] ?? Number.NaN) + (usage?.["backingStorageSize"] ?? Number.NaN);
    },
    close: () => socket.close(),
  };
}

/** Child processes that are workerd. */
function runtimes() {
  return readdirSync("/proc").filter((name) => {
    if (!/^\d+$/.test(name)) return false;
    const stat = readOrNothing(`/proc/${name}/stat`);
    return (
      stat.includes("(workerd)") && stat.slice(stat.lastIndexOf(")")).split(" ")[2] === String(process.pid)
    );
  });
}

/** @param {string} pid */
function peakResidentBytes(pid) {
  const [, kilobytes] = /^VmHWM:\s+(\d+) kB$/m.exec(readOrNothing(`/proc/${pid}/status`)) ?? [];
  return Number(kilobytes) * 1024;
}

/** The process may have ended. @param {string} file */
function readOrNothing(file) {
  try {
    return readFileSync(file, "utf8");
  } catch {
    return "";
  }
}
