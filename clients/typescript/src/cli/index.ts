#!/usr/bin/env node
import { UsageError } from "./arguments.ts";
import { run } from "./commands.ts";
import { exitCodeOf, explain } from "./failures.ts";

/** The command `gpt-image-hub`. Results go to standard output; progress and errors to standard error. */

const stop = new AbortController();
process.once("SIGINT", () => stop.abort());
// The reader of a pipe may leave before the end, as `head` does.
process.stdout.on("error", () => process.exit());

try {
  await run(process.argv.slice(2), stop.signal);
} catch (error) {
  process.stderr.write(`gpt-image-hub: ${explain(error, stop.signal)}\n`);
  if (error instanceof UsageError) process.stderr.write("Try: gpt-image-hub --help\n");
  process.exitCode = exitCodeOf(error, stop.signal);
}
