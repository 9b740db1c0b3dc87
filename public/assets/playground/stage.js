import { readPage, refresh } from "../live.js";
import { textOf } from "../texts.js";
import { waitForEnd } from "../wait.js";
import { storageKey } from "./form.js";
import { preview } from "./preview.js";

/** The stage of the playground, which shows a generation from its start to its images. */

/** @typedef {{ page: string, state: string }} Started the URLs of a generation: its page, and its state as JSON */

/**
 * Remembers the generation that this tab started last.
 * @param {HTMLFormElement} form
 * @param {Started} started
 */
export function storeStart(form, { page }) {
  sessionStorage.setItem(storageKey(form, "running"), page);
}

/**
 * @param {HTMLFormElement} form
 * @returns {Started | null}
 */
export function storedStart(form) {
  const page = sessionStorage.getItem(storageKey(form, "running"));
  return page === null ? null : { page, state: `${page}/state` };
}

/**
 * The running generation that the server rendered, started on any device.
 * @param {HTMLElement} stage
 * @returns {Started | null}
 */
export function renderedStart(stage) {
  const page = stage.dataset["running"];
  return page === undefined ? null : { page, state: `${page}/state` };
}

/**
 * Says that the form is being sent.
 * @param {HTMLElement} stage
 * @returns {() => void} shows again what was there before
 */
export function showSending(stage) {
  const before = [...stage.childNodes];
  const isFilled = stage.classList.contains("filled");
  const status = document.createElement("p");
  status.textContent = textOf("sending");
  stage.classList.remove("filled");
  stage.replaceChildren(status);
  return () => {
    stage.classList.toggle("filled", isFilled);
    stage.replaceChildren(...before);
  };
}

/**
 * Shows the progress of a generation, then its images. Does not throw.
 * @param {HTMLFormElement} form
 * @param {HTMLElement} stage
 * @param {Started} started
 */
export async function follow(form, stage, { page, state }) {
  const status = document.createElement("p");
  status.textContent = textOf("sent");
  const clock = document.createElement("span");
  // A screen reader reads each step, not each second.
  clock.setAttribute("aria-hidden", "true");
  const track = document.createElement("div");
  track.className = "track";
  track.append(document.createElement("span"));
  const link = linkTo(page, textOf("openGeneration"));
  const linkLine = document.createElement("p");
  linkLine.append(link);
  const cancel = cancelButton(page);
  stage.classList.remove("filled");
  stage.replaceChildren(status, track, linkLine, cancel);
  /** @param {string} step */
  const say = (step) => {
    if (status.firstChild?.textContent !== step) status.replaceChildren(step, clock);
  };
  const ended = await waitForEnd(
    state,
    ({ status }, seconds) => {
      say(textOf(status === "queued" ? "queued" : "generating"));
      cancel.hidden = status !== "queued";
      clock.textContent = `, ${textOf("seconds", { seconds: String(seconds) })}`;
    },
    () => {
      say(textOf("retrying"));
      clock.textContent = "";
    },
  );
  if (ended === null) {
    sessionStorage.removeItem(storageKey(form, "running"));
    say(textOf("lostTrack"));
    stage.replaceChildren(status, linkLine);
    return;
  }
  if (ended.message) {
    link.textContent = textOf("seeReceipt");
    status.textContent = ended.message;
    stage.replaceChildren(status, linkLine);
  } else {
    say(textOf("loadingImages"));
    clock.textContent = "";
    link.textContent = textOf("receiptAndSettings");
    const pictures = (await readPage(page))?.querySelector("#pictures");
    // Without them, the link leads to the images.
    if (pictures) {
      stage.classList.add("filled");
      stage.replaceChildren(document.adoptNode(pictures), linkLine);
    } else {
      status.textContent = textOf("imagesReady");
      stage.replaceChildren(status, linkLine);
    }
  }
  void refresh();
  void preview(form);
}

/**
 * @param {string} href
 * @param {string} text
 */
export function linkTo(href, text) {
  const link = document.createElement("a");
  link.href = href;
  link.textContent = text;
  return link;
}

/**
 * A button that cancels a queued generation, hidden at first. Whether it was canceled, its state tells.
 * @param {string} page
 */
function cancelButton(page) {
  const button = document.createElement("button");
  button.type = "button";
  button.className = "button quiet";
  button.textContent = textOf("cancelAndRefund");
  button.hidden = true;
  button.addEventListener("click", async () => {
    button.disabled = true;
    const headers = { Accept: "application/json" };
    const response = await fetch(`${page}/cancel`, { method: "POST", headers }).catch(() => null);
    button.disabled = response?.ok === true;
  });
  return button;
}
