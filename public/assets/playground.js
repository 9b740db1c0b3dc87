import { waitForEnd } from "./wait.js";

/**
 * The playground without leaving the page: the price and the examples follow the form, and the picture appears beside
 * it. Without this script the form leads to the generation's own page.
 */
const form = document.querySelector("#playground");
const stage = document.querySelector("[data-stage]");
const price = document.querySelector("#price");
const formError = document.querySelector("[data-form-error]");

const PREVIEW_AFTER_MS = 200;

let previewing = new AbortController();

if (form instanceof HTMLFormElement && stage instanceof HTMLElement) {
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let timer;
  form.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(() => preview(form), PREVIEW_AFTER_MS);
  });
  // What was typed before this script came, or what the browser has put back.
  void preview(form);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    makePicture(form, stage).catch(() => {
      showErrors(form, { form: "The connection broke. Look under Pictures whether the picture was made." });
    });
  });
}

/** @param {HTMLFormElement} form */
function fieldsOf(form) {
  const fields = new URLSearchParams();
  for (const [name, value] of new FormData(form)) if (typeof value === "string") fields.append(name, value);
  return fields;
}

/**
 * Only the newest counts: an older answer may come after a newer one.
 * @param {HTMLFormElement} form
 */
async function preview(form) {
  previewing.abort();
  previewing = new AbortController();
  const { signal } = previewing;
  const fields = fieldsOf(form);
  // An address holds only so much; the example needs no more of a prompt than this.
  fields.set("prompt", (fields.get("prompt") ?? "").slice(0, 1_000));
  const answer = await fetch(`/account/playground/preview?${fields}`, {
    headers: { Accept: "application/json" },
    signal,
  })
    .then((response) => response.json())
    .catch(() => null);
  if (signal.aborted || answer === null) return;
  if (price) price.textContent = answer.price ?? answer.error ?? "";
  for (const name of ["curl", "javascript", "python"]) {
    const sample = document.querySelector(`#sample-${name}`);
    if (sample && answer[name]) sample.textContent = answer[name];
  }
}

/**
 * @param {HTMLFormElement} form
 * @param {HTMLElement} stage
 */
async function makePicture(form, stage) {
  const button = form.querySelector("button[type=submit]");
  if (!(button instanceof HTMLButtonElement)) return;
  button.disabled = true;
  showErrors(form, {});
  try {
    const response = await fetch(form.action, {
      method: "POST",
      headers: { Accept: "application/json" },
      body: fieldsOf(form),
    });
    if (response.status === 401) {
      location.assign("/sign-in?next=/account/playground");
      return;
    }
    const answer = await response.json();
    if (answer.errors) {
      showErrors(form, answer.errors);
      return;
    }
    await follow(stage, answer);
  } finally {
    button.disabled = false;
  }
}

/**
 * @param {HTMLElement} stage
 * @param {{ page: string, state: string }} started
 */
async function follow(stage, { page, state }) {
  const words = document.createElement("p");
  words.textContent = "Sent";
  const clock = document.createElement("span");
  // A screen reader is told of each step, not of each second.
  clock.setAttribute("aria-hidden", "true");
  const track = document.createElement("div");
  track.className = "track";
  track.append(document.createElement("span"));
  stage.classList.remove("filled");
  stage.replaceChildren(words, track);
  const ended = await waitForEnd(state, ({ status }, seconds) => {
    const step = status === "queued" ? "Waiting" : "Drawing";
    if (words.firstChild?.textContent !== step) words.replaceChildren(step, clock);
    clock.textContent = `, ${seconds} s`;
  });
  const link = document.createElement("a");
  link.href = page;
  link.textContent = "Receipt and download";
  const last = document.createElement("p");
  last.append(link);
  if (ended.message) {
    words.textContent = ended.message;
    stage.replaceChildren(words, last);
    return;
  }
  const pictures = ended.images.map(pictureOf);
  // Shown when they can be seen; what cannot be loaded is shown by its words.
  await Promise.allSettled(pictures.map((picture) => picture.decode()));
  stage.classList.add("filled");
  stage.replaceChildren(...pictures, last);
  await showBalance();
}

/** @param {{ url: string, width: number, height: number }} image */
function pictureOf({ url, width, height }) {
  const prompt = document.querySelector("#prompt");
  const picture = document.createElement("img");
  picture.src = url;
  picture.width = width;
  picture.height = height;
  picture.alt = prompt instanceof HTMLTextAreaElement ? prompt.value.slice(0, 120) : "";
  return picture;
}

/** The balance of this page as it is now. */
async function showBalance() {
  const response = await fetch(location.pathname);
  const page = new DOMParser().parseFromString(await response.text(), "text/html");
  const shown = document.querySelector("[data-balance]");
  const now = page.querySelector("[data-balance]");
  if (shown && now) shown.textContent = now.textContent;
}

/**
 * @param {HTMLFormElement} form
 * @param {Record<string, string>} errors by field; `form` for the whole
 */
function showErrors(form, errors) {
  for (const old of form.querySelectorAll(".error")) old.remove();
  for (const field of form.querySelectorAll("[aria-invalid]")) {
    field.removeAttribute("aria-invalid");
    field.removeAttribute("aria-describedby");
  }
  formError?.replaceChildren();
  for (const [name, message] of Object.entries(errors)) {
    const field = form.querySelector(`#${CSS.escape(name)}`);
    if (field instanceof HTMLElement) blame(field, message);
    else if (formError) formError.append(noticeOf(message));
  }
  const first = form.querySelector("[aria-invalid=true]");
  if (first instanceof HTMLElement) first.focus();
}

/**
 * @param {HTMLElement} field
 * @param {string} message
 */
function blame(field, message) {
  const words = document.createElement("p");
  words.className = "error";
  words.id = `${field.id}-error`;
  words.textContent = message;
  field.setAttribute("aria-invalid", "true");
  field.setAttribute("aria-describedby", words.id);
  field.after(words);
}

/** @param {string} message */
function noticeOf(message) {
  const notice = document.createElement("div");
  notice.className = "notice bad";
  notice.setAttribute("role", "alert");
  const words = document.createElement("p");
  words.textContent = message;
  notice.append(words);
  return notice;
}
