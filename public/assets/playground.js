import {
  clearErrors,
  fieldsOf,
  renewAttempt,
  restoreDraft,
  saveDraft,
  showErrors,
} from "./playground/form.js";
import { fillSamples, preview } from "./playground/preview.js";
import { addImage, startReferences, uploadsEnded } from "./playground/references.js";
import { follow, linkTo, renderedStart, showSending, storedStart, storeStart } from "./playground/stage.js";
import { textOf } from "./texts.js";
import { backOff, pause } from "./wait.js";

/**
 * Runs the playground on one page: the price and the code samples follow the form, and the image appears beside it.
 * The draft and a running generation survive a reload. Without this script the form opens the generation's page.
 */
const form = document.querySelector("#playground");
const stage = document.querySelector("[data-stage]");

const PREVIEW_DELAY_MS = 200;
/** How often the form is sent while there is no answer. Its idempotency key makes that one charge. */
const SENDS_MAX = 5;
const SEND_MS_MAX = 30_000;

/** @typedef {import("./playground/stage.js").Started} Started */

if (form instanceof HTMLFormElement && stage instanceof HTMLElement) {
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let timer;
  const query = new URLSearchParams(location.search);
  history.replaceState(null, "", location.pathname);
  restoreDraft(form);
  startReferences(form);
  const reference = query.get("reference");
  if (reference) addImage(form, reference);
  form.addEventListener("input", ({ target }) => {
    saveDraft(form);
    if (target instanceof HTMLTextAreaElement) {
      fillSamples(form);
      return;
    }
    clearTimeout(timer);
    timer = setTimeout(() => preview(form), PREVIEW_DELAY_MS);
  });
  // The form may differ from what the server rendered: it was restored, or changed before this script ran.
  void preview(form);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    void generate(form, stage);
  });
  form.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) form.requestSubmit();
  });
  document.addEventListener("click", (event) => openHere(event, form, stage));
  const running = storedStart(form) ?? renderedStart(stage);
  if (running) void whileBusy(form, () => follow(form, stage, running));
}

/**
 * Takes an image as a reference, or shows an earlier generation on the stage, instead of following the link.
 * @param {MouseEvent} event
 * @param {HTMLFormElement} form
 * @param {HTMLElement} stage
 */
function openHere(event, form, stage) {
  const link = event.target instanceof Element ? event.target.closest("a") : null;
  if (!link || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return;
  const image = link.dataset["reference"];
  if (image !== undefined) {
    event.preventDefault();
    addImage(form, image);
  } else if (link.closest("#strip") && !isBusy(form)) {
    event.preventDefault();
    const page = link.pathname;
    void whileBusy(form, () => follow(form, stage, { page, state: `${page}/state` }));
    stage.scrollIntoView({ block: "nearest" });
  }
}

/** @param {HTMLFormElement} form */
function isBusy(form) {
  return form.querySelector("button[type=submit][aria-disabled]") !== null;
}

/**
 * Runs work, during which the form is not sent. The button keeps the focus, so it is not really disabled. The work must
 * not throw.
 * @param {HTMLFormElement} form
 * @param {() => Promise<void>} work
 */
async function whileBusy(form, work) {
  const button = form.querySelector("button[type=submit]");
  if (!button || isBusy(form)) return;
  button.setAttribute("aria-disabled", "true");
  try {
    await work();
  } finally {
    button.removeAttribute("aria-disabled");
  }
}

/**
 * @param {HTMLFormElement} form
 * @param {HTMLElement} stage
 */
async function generate(form, stage) {
  await whileBusy(form, async () => {
    clearErrors(form);
    const showBefore = showSending(stage);
    await uploadsEnded();
    const answer = await send(form, fieldsOf(form));
    if (answer === null) {
      showBefore();
      showErrors(form, { form: textOf("noResponse") });
      form
        .querySelector("[data-form-error] .notice")
        ?.append(linkTo("/account/generations", textOf("seeImages")));
      return;
    }
    if ("errors" in answer) {
      showBefore();
      showErrors(form, answer.errors);
      await preview(form);
      return;
    }
    renewAttempt(form);
    storeStart(form, answer);
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
      // No network, a timeout, or an answer that is not ours: send the form again.
    }
  }
  return null;
}
