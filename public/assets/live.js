import { localizeTimes } from "./times.js";
import { pause } from "./wait.js";

/** Keeps the lists of images and the balance of a page up to date, by what the server renders now. */

const EVERY_MS = 2_000;
const EVERY_MS_MAX = 30_000;
const UNFINISHED = "[data-live] .status.queued, [data-live] .status.processing";

/**
 * Reads a page of this site.
 * @param {string} href
 * @returns {Promise<Document | null>} null without a network, for an error, or when the session has ended
 */
export async function readPage(href) {
  try {
    const response = await fetch(href, { headers: { Accept: "text/html" } });
    if (!response.ok || response.redirected) return null;
    const page = new DOMParser().parseFromString(await response.text(), "text/html");
    localizeTimes(page);
    return page;
  } catch {
    return null;
  }
}

/**
 * Updates the page. Does not throw.
 * @returns {Promise<boolean>} whether a list changed
 */
export async function refresh() {
  const page = await readPage(location.href);
  if (page === null) return false;
  const [shown, current] = [document, page].map((root) => root.querySelector("[data-balance]"));
  if (shown && current) shown.replaceChildren(...current.childNodes);
  let isChanged = false;
  for (const list of document.querySelectorAll("[data-live]")) {
    const newer = page.getElementById(list.id);
    if (newer && stateOf(newer) !== stateOf(list)) {
      merge(list, newer);
      isChanged = true;
    }
  }
  return isChanged;
}

/** @param {Element} list */
function stateOf(list) {
  return Array.from(list.children, (item) => `${item.id} ${item.getAttribute("data-status")}`).join();
}

/**
 * Takes the items of the newer list, and keeps those that have not changed: they may be selected.
 * @param {Element} list
 * @param {Element} newer
 */
function merge(list, newer) {
  const focused = document.activeElement;
  const known = new Map(Array.from(list.children, (item) => [item.id, item]));
  const items = Array.from(newer.children, (item) => {
    const old = known.get(item.id);
    return old?.getAttribute("data-status") === item.getAttribute("data-status") ? old : item;
  });
  list.replaceChildren(...items);
  if (focused instanceof HTMLElement && focused.isConnected) focused.focus({ preventScroll: true });
}

async function refreshWhileUnfinished() {
  for (let waitMs = EVERY_MS; document.querySelector(UNFINISHED); ) {
    await pause(waitMs);
    waitMs = (await refresh()) ? EVERY_MS : Math.min(waitMs * 1.5, EVERY_MS_MAX);
  }
}

let following = refreshWhileUnfinished();

document.addEventListener("visibilitychange", async () => {
  if (document.visibilityState !== "visible") return;
  await refresh();
  following = following.then(refreshWhileUnfinished);
});
