/** How long to wait before the next look: a quick picture is seen at once, a slow one is asked about less often. */
const LOOK_AGAIN_MS = 700;
const LOOK_AGAIN_LATER_MS = 2_500;
const QUICK_MS = 15_000;
/** A look that gets no answer in this time has failed. */
const LOOK_MS_MAX = 15_000;
/** After failed looks: this long, doubled each time, up to the most. */
const BACK_OFF_MS = 1_000;
const BACK_OFF_MS_MAX = 30_000;
/** How long looks may fail in a row, and how long the whole wait may be: longer than any generation may take. */
const FAILING_MS_MAX = 15 * 60_000;
const WAIT_MS_MAX = 2 * 60 * 60_000;

/**
 * @typedef {{ status: string, ended: boolean, message: string | null, images: { url: string, width: number, height: number }[] }} State
 * @typedef {{ kind: "state", state: State } | { kind: "again", afterMs: number } | { kind: "gone" }} Look
 */

/**
 * Looks at a generation until it has ended. A lost network, a limit or a broken server only delays it.
 * @param {string} address of its state
 * @param {(state: State, seconds: number) => void} tell of each look
 * @param {() => void} trouble called after each look that failed; `tell` follows once they work again
 * @returns {Promise<State | null>} null when it gives up: there is no such generation, or looks failed for too long
 */
export async function waitForEnd(address, tell, trouble) {
  const began = Date.now();
  let failures = 0;
  let failingSince = began;
  while (Date.now() - began < WAIT_MS_MAX) {
    const found = await look(address);
    const now = Date.now();
    switch (found.kind) {
      case "gone":
        return null;
      case "state": {
        const { state } = found;
        tell(state, Math.floor((now - began) / 1000));
        if (state.ended) return state;
        failures = 0;
        failingSince = now;
        await pause(now - began < QUICK_MS ? LOOK_AGAIN_MS : LOOK_AGAIN_LATER_MS);
        break;
      }
      case "again":
        if (now - failingSince > FAILING_MS_MAX) return null;
        trouble();
        await pause(Math.max(found.afterMs, backOff(failures)));
        failures += 1;
    }
  }
  return null;
}

/** @param {number} failures before this one */
export function backOff(failures) {
  return Math.min(BACK_OFF_MS * 2 ** failures, BACK_OFF_MS_MAX);
}

/**
 * Resolves after that time, or as soon as the network or the reader comes back.
 * @param {number} milliseconds
 * @returns {Promise<void>}
 */
export function pause(milliseconds) {
  return new Promise((resolve) => {
    const listening = new AbortController();
    const end = () => {
      clearTimeout(timer);
      listening.abort();
      resolve();
    };
    const timer = setTimeout(end, milliseconds);
    addEventListener("online", end, listening);
    const onVisible = () => document.visibilityState === "visible" && end();
    document.addEventListener("visibilitychange", onVisible, listening);
  });
}

/**
 * @param {string} address
 * @returns {Promise<Look>}
 */
async function look(address) {
  try {
    const response = await fetch(address, {
      headers: { Accept: "application/json" },
      signal: AbortSignal.timeout(LOOK_MS_MAX),
    });
    if (response.ok) return { kind: "state", state: await response.json() };
    // The session has ended: the page itself leads to the sign-in, and back.
    if (response.status === 401) location.reload();
    if (response.status === 404) return { kind: "gone" };
    return { kind: "again", afterMs: retryAfterMs(response) };
  } catch {
    // No network, no answer in time, or half of one.
    return { kind: "again", afterMs: 0 };
  }
}

/** @param {Response} response */
function retryAfterMs(response) {
  const seconds = Number(response.headers.get("Retry-After") ?? 0);
  return Number.isFinite(seconds) ? Math.min(Math.max(seconds, 0) * 1000, 2 * BACK_OFF_MS_MAX) : 0;
}
