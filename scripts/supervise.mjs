/**
 * Runs a command in a process group of its own, and ends the group when standard input closes. The pipe closes even when
 * its owner is killed, so no process is left behind.
 */
import { spawn } from "node:child_process";

const KILL_AFTER_MS = 5_000;

const [command = "", ...args] = process.argv.slice(2);
const child = spawn(command, args, { stdio: ["ignore", "inherit", "inherit"] });

// The runtime survives wrangler when it is killed, so kill the whole group, including this process.
const endGroup = () => process.kill(-process.pid, "SIGKILL");

child.on("exit", endGroup);
child.on("error", (error) => {
  console.error(error.message);
  endGroup();
});
process.stdin.on("close", () => {
  child.kill("SIGTERM");
  setTimeout(endGroup, KILL_AFTER_MS);
});
process.stdin.resume();
