/** `npm start`: installs, prepares and runs the service with a demo account, from a fresh clone. */
import { relative } from "node:path";
import { main, root } from "./lib.mjs";
import { readSettings, startService } from "./service.mjs";

await main(serve, { stopped: 0 });

/** @param {AbortSignal} stop */
async function serve(stop) {
  const settings = readSettings();
  const service = await startService(settings, { stop, say: console.log });
  console.log(welcome(settings, service.demo));
  service.showOutput();
  console.log(`Ready on ${settings.origin} (Ctrl-C to stop)`);
  try {
    return await service.died;
  } finally {
    await service.stop();
  }
}

/**
 * @param {import("./service.mjs").Settings} settings
 * @param {import("./service.mjs").DemoAccount} demo
 */
function welcome({ origin, stateDirectory }, { key, testKey, credits, email, password }) {
  const state = relative(root, stateDirectory).startsWith("..")
    ? stateDirectory
    : relative(root, stateDirectory);
  const chosen = ["PORT", "STATE_DIR"]
    .filter((name) => process.env[name])
    .map((name) => `${name}=${process.env[name]} `);
  const body = JSON.stringify({ model: "gpt-image-2", prompt: "a lighthouse at dusk", size: "1024x1024" });
  return `
GPT Image Hub

  Address   ${origin}${password ? `\n  Sign in   ${email}, password ${password}` : ""}
  API key   ${key}
  Test key  ${testKey}
  Balance   ${credits} credits

Generate an image:

curl -sS ${origin}/api/v1/images/generations -H "Authorization: Bearer ${key}" -H "Content-Type: application/json" -d '${body}'

Next:

  ${chosen.join("")}npm run demo -- "a lighthouse at dusk"   generates an image and saves it as a file
  See README.md for the rest. The state is in ${state}: remove it to start over.
`;
}
