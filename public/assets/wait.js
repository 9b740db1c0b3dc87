/** How often the stream of a generation is opened. After that, or without one, the generation is polled. */
const STREAMS_MAX = 3;
/** The service sends a comment every 15 s: a stream without bytes for this long is broken. */
const SILENCE_MS_MAX = 40_000;
/** How often the state is shown again while a stream is quiet, because it shows the time. */
const TICK_MS = 1_000;
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
 * @typedef {{ status: string, ended: boolean, message: string | null }} State
 * @typedef {{ kind: "state", state: State } | { kind: "retry", afterMs: number } | { kind: "gone" }} PollResult
 */

/**
 * Follows a generation until it ends: by its stream of events, and by polls when the stream breaks. A lost network, a rate
 * limit or a server error only delays it.
 * @param {string} url of the state
 * @param {(state: State, seconds: number) => void} onState called at each change, and repeatedly between changes
 * @param {() => void} onFailure called after each failed poll
 * @returns {Promise<State | null>} null when it gives up: the generation does not exist, or polls failed for too long
 */
export async function waitForEnd(url, onState, onFailure) {
  const began = Date.now();
  const show = (/** @type {State} */ state) => onState(state, Math.floor((Date.now() - began) / 1000));
  let streams = 0;
  let failures = 0;
  let failingSince = began;
  while (Date.now() - began < WAIT_MS_MAX) {
    // While polls fail, a stream would fail too.
    if (failures === 0 && streams < STREAMS_MAX) {
      streams += 1;
      const ended = await followStream(url.replace(/state$/, "events"), show);
      if (ended) return ended;
    }
    const found = await poll(url);
    const now = Date.now();
    switch (found.kind) {
      case "gone":
        return null;
      case "state":
        show(found.state);
        if (found.state.ended) return found.state;
        failures = 0;
        failingSince = now;
        await pause(now - began < QUICK_MS ? POLL_MS : SLOW_POLL_MS);
        break;
      case "retry":
        if (now - failingSince > FAILING_MS_MAX) return null;
        onFailure();
        await pause(Math.max(found.afterMs, backOff(failures)));
        failures += 1;
    }
  }
  return null;
}

/**
 * Reads a stream of events until the generation ends. `EventSource` would not show the comments, which tell a quiet
 * stream from a broken one.
 * @param {string} url
 * @param {(state: State) => void} onState
 * @returns {Promise<State | null>} null when the stream broke
 */
async function followStream(url, onState) {
  const broken = new AbortController();
  const breakOff = () => broken.abort();
  let silence = setTimeout(breakOff, SILENCE_MS_MAX);
  /** @type {State | null} */
  let state = null;
  const clock = setInterval(() => state && onState(state), TICK_MS);
  addEventListener("offline", breakOff, broken);
  try {
    const response = await fetch(url, { headers: { Accept: "text/event-stream" }, signal: broken.signal });
    if (!response.ok || response.body === null || response.redirected) return null;
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    for (let text = ""; ; ) {
      const { done, value = "" } = await reader.read();
      if (done) return null;
      clearTimeout(silence);
      silence = setTimeout(breakOff, SILENCE_MS_MAX);
      const blocks = (text + value).split("\n\n");
      text = blocks.pop() ?? "";
      for (const block of blocks) state = stateIn(block) ?? state;
      if (state) onState(state);
      if (state?.ended) return state;
    }
  } catch {
    // No network, a broken connection, or an answer that is not ours.
    return null;
  } finally {
    clearTimeout(silence);
    clearInterval(clock);
    breakOff();
  }
}

/**
 * @param {string} block an event or a comment
 * @returns {State | null}
 */
function stateIn(block) {
  const data = /^data: (.*)$/m.exec(block)?.[1];
  return data === undefined ? null : JSON.parse(data);
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
