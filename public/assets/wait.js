/** The time between polls: short at first, longer for slow generations. */
const POLL_MS = 700;
const SLOW_POLL_MS = 2_500;
const QUICK_MS = 15_000;
/** A poll without an answer in this time has failed. */
const POLL_MS_MAX = 15_000;
/** The wait after a failed poll: doubled each time, up to the maximum. */
const BACK_OFF_MS = 1_000;
const BACK_OFF_MS_MAX = 30_000;
/** How long polls may fail in a row, and how long the whole wait may take: longer than any generation. */
const FAILING_MS_MAX = 15 * 60_000;
const WAIT_MS_MAX = 2 * 60 * 60_000;

/**
 * @typedef {{ status: string, ended: boolean, message: string | null, images: { url: string, width: number, height: number }[] }} State
 * @typedef {{ kind: "state", state: State } | { kind: "retry", afterMs: number } | { kind: "gone" }} PollResult
 */

/**
 * Polls a generation until it ends. A lost network, a rate limit or a server error only delays it.
 * @param {string} url of the state
 * @param {(state: State, seconds: number) => void} onState called after each poll
 * @param {() => void} onFailure called after each failed poll
 * @returns {Promise<State | null>} null when it gives up: the generation does not exist, or polls failed for too long
 */
export async function waitForEnd(url, onState, onFailure) {
  const began = Date.now();
  let failures = 0;
  let failingSince = began;
  while (Date.now() - began < WAIT_MS_MAX) {
    const found = await poll(url);
    const now = Date.now();
    switch (found.kind) {
      case "gone":
        return null;
      case "state": {
        const { state } = found;
        onState(state, Math.floor((now - began) / 1000));
        if (state.ended) return state;
        failures = 0;
        failingSince = now;
        await pause(now - began < QUICK_MS ? POLL_MS : SLOW_POLL_MS);
        break;
      }
      case "retry":
        if (now - failingSince > FAILING_MS_MAX) return null;
        onFailure();
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
 * Resolves after this time, or as soon as the network or the page comes back.
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
 * @param {string} url
 * @returns {Promise<PollResult>}
 */
async function poll(url) {
  try {
    const response = await fetch(url, {
      headers: { Accept: "application/json" },
      signal: AbortSignal.timeout(POLL_MS_MAX),
    });
    if (response.ok) return { kind: "state", state: await response.json() };
    // The session has ended. Reloading the page leads to sign-in and back.
    if (response.status === 401) location.reload();
    if (response.status === 404) return { kind: "gone" };
    return { kind: "retry", afterMs: retryAfterMs(response) };
  } catch {
    // No network, a timeout, or an incomplete answer.
    return { kind: "retry", afterMs: 0 };
  }
}

/** @param {Response} response */
function retryAfterMs(response) {
  const seconds = Number(response.headers.get("Retry-After") ?? 0);
  return Number.isFinite(seconds) ? Math.min(Math.max(seconds, 0) * 1000, 2 * BACK_OFF_MS_MAX) : 0;
}
