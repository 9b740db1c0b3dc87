import { language, textOf } from "../texts.js";
import { fieldsOf, offerChoices, saveDraft } from "./form.js";
import { limitReferences } from "./references.js";

/** The price and the code samples, which follow the form. */

/** @typedef {{ curl: string, javascript: string, python: string, openai: string, placeholder: string, example: string }} Samples */

const price = document.querySelector("#price");
const short = document.querySelector("#short");

let request = new AbortController();
/** @type {Samples | null} The samples with a placeholder for the prompt: the prompt is inserted in the browser. */
let samples = null;

/**
 * Requests the price of the form's options, and what the chosen model offers. A new request aborts the one before it.
 * @param {HTMLFormElement} form
 */
export async function preview(form) {
  request.abort();
  request = new AbortController();
  const { signal } = request;
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
  if (answer.choices && offerChoices(form, answer.choices)) {
    saveDraft(form);
    await preview(form);
    return;
  }
  if (typeof answer.references_max === "number") limitReferences(form, answer.references_max);
  if (price) price.textContent = answer.price ?? answer.error ?? "";
  // Without a session there is none: the next submit asks to sign in.
  if (typeof answer.balance === "number") showBalance(answer.balance, answer.credits);
  if (!answer.curl) return;
  samples = answer;
  fillSamples(form);
}

/**
 * @param {number} balance
 * @param {number | undefined} credits the price, if there is one
 */
function showBalance(balance, credits) {
  const text = textOf(balance === 1 ? "oneCredit" : "credits", { count: balance.toLocaleString(language) });
  for (const place of document.querySelectorAll("[data-credits]")) place.textContent = text;
  const shown = document.querySelector("[data-balance]");
  if (shown) shown.textContent = textOf("left", { credits: text });
  if (short instanceof HTMLElement) short.hidden = credits === undefined || credits <= balance;
}

/**
 * Inserts the prompt into the samples.
 * @param {HTMLFormElement} form
 */
export function fillSamples(form) {
  if (samples === null) return;
  const { placeholder, example } = samples;
  const typed = new FormData(form).get("prompt");
  const literal = JSON.stringify(typeof typed === "string" && typed.trim() !== "" ? typed : example);
  /** @param {string} template @param {string} text */
  const filled = (template, text) => template.replace(JSON.stringify(placeholder), () => text);
  // The curl command has its body in single quotes.
  show("curl", filled(samples.curl, literal.replaceAll("'", `'\\''`)));
  show("javascript", filled(samples.javascript, literal));
  show("python", filled(samples.python, literal));
  show("openai", filled(samples.openai, literal));
}

/** @param {string} name @param {string} text */
function show(name, text) {
  const sample = document.querySelector(`#sample-${name}`);
  if (sample) sample.textContent = text;
}
