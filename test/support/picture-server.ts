import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import { gzipSync } from "node:zlib";
import type { TestProject } from "vitest/node";
import { png } from "../images/samples.ts";

/**
 * A server of pictures on a loopback port, which can misbehave in every way that a foreign server can. `GET /_calls` lists
 * the paths that were asked for.
 */

declare module "vitest" {
  interface ProvidedContext {
    pictureServer: string;
  }
}

const CALLS_MAX = 1_000;

export default async function setup(project: TestProject) {
  const calls: string[] = [];
  const server = createServer((request, response) => {
    const url = new URL(request.url ?? "/", "http://pictures");
    if (url.pathname === "/_calls") return void response.end(JSON.stringify(calls));
    calls.push(`${url.pathname}${url.search}`);
    calls.splice(0, calls.length - CALLS_MAX);
    answer(url, request, response).catch(() => response.destroy());
  });
  const { port } = await new Promise<{ port: number }>((resolve, reject) => {
    server.listen(0, "127.0.0.1", () => {
      const address = server.address();
      if (typeof address === "object" && address !== null) resolve(address);
      else reject(new Error("The server has no port."));
    });
  });
  project.provide("pictureServer", `http://127.0.0.1:${port}`);
  return () => {
    server.closeAllConnections();
    server.close();
  };
}

async function answer(url: URL, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const [, kind = "", parameter = ""] = url.pathname.split("/");
  const picture = Buffer.from(png(8, 8));
  switch (kind) {
    case "picture":
      // `/picture/10?bytes=1000`: so wide, and so long.
      return void response.end(padded(png(Number(parameter) || 8, 8), Number(url.searchParams.get("bytes"))));
    case "headers":
      return void response.end(JSON.stringify(request.headers));
    case "chunked":
      return await write(response, [picture.subarray(0, 20), picture.subarray(20)]);
    case "chunked-bytes":
      return await write(response, [padded(picture, Number(parameter))]);
    case "redirect": {
      const left = Number(parameter);
      const next = left <= 1 ? "/picture/8" : `/redirect/${left - 1}`;
      return void response
        .writeHead([301, 302, 303, 307, 308][left % 5] ?? 302, { Location: next })
        .end("moved");
    }
    case "loop":
      return void response.writeHead(302, { Location: url.pathname }).end();
    case "to":
      return void response.writeHead(302, { Location: url.searchParams.get("url") ?? "" }).end();
    case "far":
      return void response
        .writeHead(302, { Location: `https://example.com/${"a".repeat(Number(parameter))}` })
        .end();
    case "nowhere":
      return void response.writeHead(302).end();
    case "status":
      return void response.writeHead(Number(parameter)).end(Number(parameter) === 204 ? undefined : picture);
    case "html":
      return void response
        .writeHead(200, { "Content-Type": "image/png" })
        .end("<!doctype html><title>Not a picture</title>");
    case "empty":
      return void response.end();
    case "cut":
      return void response.end(picture.subarray(0, -5));
    case "truncated":
      response.writeHead(200, { "Content-Length": picture.length });
      response.write(picture.subarray(0, -5));
      await sleep(50);
      return void response.destroy();
    case "reset":
      return void response.destroy();
    case "silent":
      return;
    case "stalled":
      response.write(picture.subarray(0, 20));
      return;
    case "endless":
      return await endless(response);
    case "drip":
      return await drip(response);
    case "gzip":
      response.writeHead(200, { "Content-Encoding": "gzip" });
      return void response.end(gzipSync(picture));
    case "bomb":
      response.writeHead(200, { "Content-Encoding": "gzip" });
      return void response.end(gzipSync(padded(picture, Number(parameter))));
    case "lie":
      // Ends the connection once it has sent less than it declared.
      response.writeHead(200, { "Content-Length": Number(parameter) });
      return void response.write(picture);
    default:
      return void response.writeHead(404).end("not found");
  }
}

/** The picture with zeros behind it, up to this length. */
function padded(picture: Uint8Array, bytes: number): Buffer {
  return Buffer.concat([picture, Buffer.alloc(Math.max(0, bytes - picture.length))]);
}

async function write(response: ServerResponse, pieces: readonly Uint8Array[]): Promise<void> {
  for (const piece of pieces) {
    response.write(piece);
    await sleep(10);
  }
  response.end();
}

/** A picture, and bytes behind it without end. */
async function endless(response: ServerResponse): Promise<void> {
  response.write(Buffer.from(png(8, 8)));
  const zeros = Buffer.alloc(64 * 1024);
  const closed = once(response, "close");
  while (!response.destroyed) {
    if (!response.write(zeros)) await Promise.race([once(response, "drain"), closed]);
  }
}

async function drip(response: ServerResponse): Promise<void> {
  response.write(Buffer.from(png(8, 8)));
  while (!response.destroyed) {
    response.write("\0");
    await sleep(20);
  }
}
