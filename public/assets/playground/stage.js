import { waitForEnd } from "../wait.js";
import { storageKey } from "./form.js";

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
 * Shows the progress of a generation, then its images. Does not throw.
 * @param {HTMLFormElement} form
 * @param {HTMLElement} stage
 * @param {Started} started
 */
export async function follow(form, stage, { page, state }) {
  const status = document.createElement("p");
  status.textContent = "Sent";
  const clock = document.createElement("span");
  // A screen reader reads each step, not each second.
  clock.setAttribute("aria-hidden", "true");
  const track = document.createElement("div");
  track.className = "track";
  track.append(document.createElement("span"));
  const link = linkTo(page, "Open this generation");
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
      say(status === "queued" ? "Queued" : "Generating");
      cancel.hidden = status !== "queued";
      clock.textContent = `, ${seconds} s`;
    },
    () => {
      say("No connection. Retrying…");
      clock.textContent = "";
    },
  );
  if (ended === null) {
    sessionStorage.removeItem(storageKey(form, "running"));
    say("Lost track of this generation.");
    stage.replaceChildren(status, linkLine);
    return;
  }
  if (ended.message) {
    link.textContent = "See the receipt";
    status.textContent = ended.message;
    stage.replaceChildren(status, linkLine);
    await showBalance();
    return;
  }
  link.textContent = "Receipt and download";
  const images = ended.images.map(imageOf);
  // Replace the progress when the images can be shown. An image that fails to load shows its alt text.
  await Promise.allSettled(images.map((image) => image.decode()));
  stage.classList.add("filled");
  stage.replaceChildren(...images, linkLine);
  await showBalance();
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
  button.textContent = "Cancel and refund";
  button.hidden = true;
  button.addEventListener("click", async () => {
    button.disabled = true;
    const headers = { Accept: "application/json" };
    const response = await fetch(`${page}/cancel`, { method: "POST", headers }).catch(() => null);
    button.disabled = response?.ok === true;
  });
  return button;
}

/** @param {{ url: string, width: number, height: number }} image */
function imageOf({ url, width, height }) {
  const prompt = document.querySelector("#prompt");
  const image = document.createElement("img");
  image.src = url;
  image.width = width;
  image.height = height;
  image.alt = prompt instanceof HTMLTextAreaElement ? prompt.value.slice(0, 120) : "";
  return image;
}

/** Updates the balance on the page. Without a network it stays as it was. */
async function showBalance() {
  const response = await fetch(location.pathname).catch(() => null);
  if (!response?.ok) return;
  const page = new DOMParser().parseFromString(await response.text(), "text/html");
  const shown = document.querySelector("[data-balance]");
  const current = page.querySelector("[data-balance]");
  if (shown && current) shown.textContent = current.textContent;
}
