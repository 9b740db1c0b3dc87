import { textOf } from "./texts.js";

/**
 * Passkeys: the button of the sign-in page, and the page that adds one. Both ask the browser, put its answer into a field
 * of their form and send the form.
 */

/** Remembers that this browser has used a passkey here, so that the next sign-in offers it in the email field. */
const STORED = "passkey";

const signIn = document.querySelector("form[data-passkey-options]");
const creation = document.querySelector("form[data-passkey-new]");

/** The request that waits in the email field. Only one may be open. */
const waiting = new AbortController();

if (signIn instanceof HTMLFormElement && isSupported()) {
  signIn.hidden = false;
  signIn.addEventListener("submit", (event) => {
    event.preventDefault();
    waiting.abort();
    void ask(signIn, () => request(signIn, "optional", new AbortController().signal));
  });
  void offer(signIn);
}

if (creation instanceof HTMLFormElement) {
  const create = () => ask(creation, () => make(creation));
  creation.addEventListener("submit", (event) => {
    event.preventDefault();
    void create();
  });
  void create();
}

/** Whether the browser has passkeys for this page, and reads and writes them as JSON. */
function isSupported() {
  return "PublicKeyCredential" in window && "parseRequestOptionsFromJSON" in PublicKeyCredential;
}

/**
 * Runs one request and sends its answer. Says in the form why there is none.
 * @param {HTMLFormElement} form
 * @param {() => Promise<Credential | null>} work
 */
async function ask(form, work) {
  const button = form.querySelector("button");
  if (button) button.disabled = true;
  say(form, "");
  try {
    if (isSupported()) send(form, await work());
    else say(form, textOf("passkeyMissing"));
  } catch (error) {
    say(form, reasonOf(error));
  }
  if (button) button.disabled = false;
}

/** @param {unknown} error */
function reasonOf(error) {
  if (!(error instanceof DOMException)) return textOf("passkeyFailed");
  return error.name === "InvalidStateError" ? textOf("passkeyKnown") : textOf("passkeyUnused");
}

/** @param {HTMLFormElement} form @param {string} text */
function say(form, text) {
  const place = form.querySelector("[role=alert]");
  if (place) place.textContent = text;
}

/** @param {HTMLFormElement} form */
async function make(form) {
  const options = JSON.parse(form.dataset["passkeyNew"] ?? "");
  return await navigator.credentials.create({
    publicKey: PublicKeyCredential.parseCreationOptionsFromJSON(options),
  });
}

/**
 * @param {HTMLFormElement} form
 * @param {CredentialMediationRequirement} mediation
 * @param {AbortSignal} signal
 */
async function request(form, mediation, signal) {
  const response = await fetch(form.dataset["passkeyOptions"] ?? "", { method: "POST", signal });
  if (!response.ok) throw new Error(`The options were refused: ${response.status}`);
  const publicKey = PublicKeyCredential.parseRequestOptionsFromJSON(await response.json());
  return await navigator.credentials.get({ mediation, signal, publicKey });
}

/**
 * @param {HTMLFormElement} form
 * @param {Credential | null} credential
 */
function send(form, credential) {
  const field = form.elements.namedItem("credential");
  if (!(credential instanceof PublicKeyCredential) || !(field instanceof HTMLInputElement)) return;
  field.value = JSON.stringify(credential.toJSON());
  remember(true);
  form.submit();
}

/**
 * Offers the passkeys of this site in the email field, where the browser lists what it would fill in.
 * @param {HTMLFormElement} form
 */
async function offer(form) {
  // It may have been removed: offering it again could go on for ever.
  if (form.dataset["refused"] !== undefined) return remember(false);
  try {
    if (localStorage.getItem(STORED) === null) return;
    if (!(await PublicKeyCredential.isConditionalMediationAvailable?.())) return;
    send(form, await request(form, "conditional", waiting.signal));
  } catch {
    // Nobody chose one, the button was faster, or the browser stores nothing.
  }
}

/** @param {boolean} isUsed */
function remember(isUsed) {
  try {
    if (isUsed) localStorage.setItem(STORED, "used");
    else localStorage.removeItem(STORED);
  } catch {
    // The browser stores nothing for this site: the button is there anyway.
  }
}
