import { backOff, pause, waitForEnd } from "./wait.js";

/**
 * The playground without leaving the page: the price and the examples follow the form, and the picture appears beside
 * it. What was typed and what is running survive a reload. Without this script the form leads to the generation's page.
 */
const form = document.querySelector("#playground");
const stage = document.querySelector("[data-stage]");
const price = document.querySelector("#price");
const formError = document.querySelector("[data-form-error]");

const PREVIEW_AFTER_MS = 200;
/** How often the form is sent while no answer comes: it carries a key, so that it is charged once. */
const SENDS_MAX = 5;
const SEND_MS_MAX = 30_000;

/** @typedef {{ page: string, state: string }} Started */
/** @typedef {{ curl: string, javascript: string, python: string, placeholder: string, example: string }} Samples */

let previewing = new AbortController();
/** @type {Samples | null} The examples with a placeholder for the prompt, which never leaves the browser for them. */
let samples = null;

if (form instanceof HTMLFormElement && stage instanceof HTMLElement) {
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let timer;
  restoreDraft(form);
  form.addEventListener("input", ({ target }) => {
    saveDraft(form);
    if (target instanceof HTMLTextAreaElement) {
      fillSamples(form);
      return;
    }
    clearTimeout(timer);
    timer = setTimeout(() => preview(form), PREVIEW_AFTER_MS);
  });
  // Whatever was typed before this script came, or was put back.
  void preview(form);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    void makePicture(form, stage);
  });
  const running = storedStart(form) ?? renderedStart(stage);
  if (running) void whileBusy(form, () => follow(form, stage, running));
}

/** @param {HTMLFormElement} form */
function fieldsOf(form) {
  const fields = new URLSearchParams();
  for (const [name, value] of new FormData(form)) if (typeof value === "string") fields.append(name, value);
  return fields;
}

/**
 * Where this tab keeps what belongs to the signed-in person.
 * @param {HTMLFormElement} form
 * @param {"draft" | "running"} what
 */
function storeKey(form, what) {
  return `playground:${form.dataset["owner"]}:${what}`;
}

/** @param {HTMLFormElement} form */
function saveDraft(form) {
  const draft = fieldsOf(form);
  draft.delete("attempt");
  sessionStorage.setItem(storeKey(form, "draft"), draft.toString());
}

/**
 * A form that the server filled in, from an earlier generation, wins over the draft and becomes it.
 * @param {HTMLFormElement} form
 */
function restoreDraft(form) {
  if (form.dataset["filled"] !== undefined) {
    saveDraft(form);
    history.replaceState(null, "", location.pathname);
    return;
  }
  const draft = new URLSearchParams(sessionStorage.getItem(storeKey(form, "draft")) ?? "");
  for (const [name, value] of draft) {
    const field = form.elements.namedItem(name);
    // What somebody typed before this script came stays.
    if (field instanceof HTMLTextAreaElement) field.value ||= value;
    else if (
      field instanceof HTMLSelectElement &&
      [...field.options].some((option) => option.value === value)
    )
      field.value = value;
  }
}

/**
 * What this tab started last.
 * @param {HTMLFormElement} form
 * @returns {Started | null}
 */
function storedStart(form) {
  const page = sessionStorage.getItem(storeKey(form, "running"));
  return page === null ? null : { page, state: `${page}/state` };
}

/**
 * What the server says is running, whichever device started it.
 * @param {HTMLElement} stage
 * @returns {Started | null}
 */
function renderedStart(stage) {
  const page = stage.dataset["running"];
  return page === undefined ? null : { page, state: `${page}/state` };
}

/**
 * Asks for the price of the options alone. Only the newest answer counts: an older one may come later.
 * @param {HTMLFormElement} form
 */
async function preview(form) {
  previewing.abort();
  previewing = new AbortController();
  const { signal } = previewing;
  const fields = fieldsOf(form);
  fields.delete("prompt");
  fields.delete("attempt");
  const answer = await fetch(`/account/playground/preview?${fields}`, {
    headers: { Accept: "application/json" },
    signal,
  })
    .then((response) => response.json())
    .catch(() => null);
  if (signal.aborted || answer === null) return;
  if (price) price.textContent = answer.price ?? answer.error ?? "";
  if (!answer.curl) return;
  samples = answer;
  fillSamples(form);
}

/**
 * Puts the whole prompt into the examples.
 * @param {HTMLFormElement} form
 */
function fillSamples(form) {
  if (samples === null) return;
  const { placeholder, example } = samples;
  const typed = new FormData(form).get("prompt");
  const literal = JSON.stringify(typeof typed === "string" && typed.trim() !== "" ? typed : example);
  /** @param {string} template @param {string} text */
  const filled = (template, text) => template.replace(JSON.stringify(placeholder), () => text);
  // The shell's body stands in single quotes.
  show("curl", filled(samples.curl, literal.replaceAll("'", `'\\''`)));
  show("javascript", filled(samples.javascript, literal));
  show("python", filled(samples.python, literal));
}

/** @param {string} name @param {string} text */
function show(name, text) {
  const sample = document.querySelector(`#sample-${name}`);
  if (sample) sample.textContent = text;
}

/**
 * Runs work with the button disabled. It never fails, and whatever is left running then has a link on the page.
 * @param {HTMLFormElement} form
 * @param {() => Promise<void>} work
 */
async function whileBusy(form, work) {
  const button = form.querySelector("button[type=submit]");
  if (!(button instanceof HTMLButtonElement) || button.disabled) return;
  button.disabled = true;
  try {
    await work();
  } finally {
    button.disabled = false;
  }
}

/**
 * @param {HTMLFormElement} form
 * @param {HTMLElement} stage
 */
async function makePicture(form, stage) {
  await whileBusy(form, async () => {
    showErrors(form, {});
    const answer = await send(form, fieldsOf(form));
    if (answer === null) {
      showErrors(form, {
        form: "No answer came. Send the form again: while you do not change it, it is charged once.",
      });
      formError?.querySelector(".notice")?.append(linkTo("/account/generations", "See your pictures"));
      return;
    }
    if ("errors" in answer) {
      showErrors(form, answer.errors);
      return;
    }
    renewAttempt(form);
    sessionStorage.setItem(storeKey(form, "running"), answer.page);
    await follow(form, stage, answer);
  });
}

/**
 * Sends the form until there is an answer.
 * @param {HTMLFormElement} form
 * @param {URLSearchParams} fields
 * @returns {Promise<Started | { errors: Record<string, string> } | null>}
 */
async function send(form, fields) {
  for (let sends = 0; sends < SENDS_MAX; sends++) {
    if (sends > 0) await pause(backOff(sends - 1));
    try {
      const response = await fetch(form.action, {
        method: "POST",
        headers: { Accept: "application/json" },
        body: fields,
        signal: AbortSignal.timeout(SEND_MS_MAX),
      });
      if (response.status === 401) {
        location.assign("/sign-in?next=/account/playground");
        return { errors: {} };
      }
      const answer = await response.json();
      if (typeof answer.page === "string" || answer.errors) return answer;
    } catch {
      // No network, no answer in time, or one that is not ours: it is sent again.
    }
  }
  return null;
}

/**
 * The next submit is another purchase.
 * @param {HTMLFormElement} form
 */
function renewAttempt(form) {
  const attempt = form.elements.namedItem("attempt");
  if (!(attempt instanceof HTMLInputElement)) return;
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  attempt.value = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/**
 * @param {HTMLFormElement} form
 * @param {HTMLElement} stage
 * @param {Started} started
 */
async function follow(form, stage, { page, state }) {
  const words = document.createElement("p");
  words.textContent = "Sent";
  const clock = document.createElement("span");
  // A screen reader is told of each step, not of each second.
  clock.setAttribute("aria-hidden", "true");
  const track = document.createElement("div");
  track.className = "track";
  track.append(document.createElement("span"));
  const link = linkTo(page, "Open this generation");
  const last = document.createElement("p");
  last.append(link);
  stage.classList.remove("filled");
  stage.replaceChildren(words, track, last);
  /** @param {string} step */
  const say = (step) => {
    if (words.firstChild?.textContent !== step) words.replaceChildren(step, clock);
  };
  const ended = await waitForEnd(
    state,
    ({ status }, seconds) => {
      say(status === "queued" ? "Waiting" : "Drawing");
      clock.textContent = `, ${seconds} s`;
    },
    () => {
      say("No connection. Trying again…");
      clock.textContent = "";
    },
  );
  if (ended === null) {
    sessionStorage.removeItem(storeKey(form, "running"));
    say("This page can no longer follow the generation.");
    stage.replaceChildren(words, last);
    return;
  }
  link.replaceChildren("Receipt and download");
  if (ended.message) {
    words.textContent = ended.message;
    stage.replaceChildren(words, last);
    await showBalance();
    return;
  }
  const pictures = ended.images.map(pictureOf);
  // Shown when they can be seen; what cannot be loaded is shown by its words.
  await Promise.allSettled(pictures.map((picture) => picture.decode()));
  stage.classList.add("filled");
  stage.replaceChildren(...pictures, last);
  await showBalance();
}

/**
 * @param {string} href
 * @param {string} words
 */
function linkTo(href, words) {
  const link = document.createElement("a");
  link.href = href;
  link.textContent = words;
  return link;
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

/** The balance of this page as it is now; without a network it stays as it was. */
async function showBalance() {
  const response = await fetch(location.pathname).catch(() => null);
  if (!response?.ok) return;
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
