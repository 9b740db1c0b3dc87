/**
 * Runs the command it is given, in a process group of which it is the leader, and ends all of it when its standard
 * input closes. A pipe closes however its owner ends, so even a start that was killed leaves no process behind.
 */
import { spawn } from "node:child_process";

const KILL_AFTER_MS = 5_000;

const [command = "", ...args] = process.argv.slice(2);
const child = spawn(command, args, { stdio: ["ignore", "inherit", "inherit"] });

// A runtime outlives a wrangler that was killed, so the end is the end of the group, this process with it.
const endGroup = () => process.kill(-process.pid, "SIGKILL");

child.on("exit", endGroup);
child.on("error", endGroup);
process.stdin.on("close", () => {
  child.kill("SIGTERM");
  setTimeout(endGroup, KILL_AFTER_MS);
});
process.stdin.resume();
