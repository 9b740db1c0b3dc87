/**
 * The provider of the benchmarks, in its own process. It responds to every call at once with the same image, which the
 * double has generated before, so that its own work is small.
 * `node bench/provider.mjs BYTES` prints its URL as one line of JSON.
 */
import { createServer } from "node:http";
import { answer } from "../test/support/openai-double/answer.ts";

const CALL = {
  prompt: "",
  n: 1,
  format: /** @type {const} */ ("png"),
  width: 1024,
  height: 1024,
  quality: "low",
  background: "opaque",
  safetyIdentifier: null,
};

const pieces = [];
for await (const piece of answer(CALL, null, Number(process.argv[2]), 1)) pieces.push(piece);
const body = Buffer.concat(pieces);
const headers = { "Content-Type": "application/json", "Content-Length": body.length };

const server = createServer({ keepAlive: true, keepAliveTimeout: 60_000 }, (request, response) => {
  request.resume().on("end", () => response.writeHead(200, headers).end(body));
});
server.listen(0, "127.0.0.1", () => {
  const address = server.address();
  if (typeof address === "object" && address)
    console.log(JSON.stringify(`http://127.0.0.1:${address.port}/v1`));
});

process.stdin.resume().on("end", () => process.exit());
