/** The form of the playground: its draft, its idempotency key and its errors. */

/** @param {HTMLFormElement} form */
export function fieldsOf(form) {
  const fields = new URLSearchParams();
  for (const [name, value] of new FormData(form)) if (typeof value === "string") fields.append(name, value);
  return fields;
}

/**
 * The key in this tab's storage, which holds separate data for each user.
 * @param {HTMLFormElement} form
 * @param {"draft" | "running" | "references"} kind
 */
export function storageKey(form, kind) {
  return `playground:${form.dataset["owner"]}:${kind}`;
}

/** @param {HTMLFormElement} form */
export function saveDraft(form) {
  const draft = fieldsOf(form);
  draft.delete("attempt");
  draft.delete("references");
  sessionStorage.setItem(storageKey(form, "draft"), draft.toString());
}

/**
 * Restores the draft. A form that the server filled in replaces the draft instead.
 * @param {HTMLFormElement} form
 */
export function restoreDraft(form) {
  if (form.dataset["filled"] !== undefined) {
    sessionStorage.removeItem(storageKey(form, "references"));
    saveDraft(form);
    return;
  }
  const draft = new URLSearchParams(sessionStorage.getItem(storageKey(form, "draft")) ?? "");
  for (const [name, value] of draft) {
    const field = form.elements.namedItem(name);
    // Keep what was typed before this script ran.
    if (field instanceof HTMLTextAreaElement) field.value ||= value;
    else if (
      field instanceof HTMLSelectElement &&
      [...field.options].some((option) => option.value === value)
    )
      field.value = value;
  }
}

/** @typedef {Record<string, { values: string[], fallback: string }>} Choices the values of each field */

/**
 * Gives the fields the values that the chosen model offers. A value is kept where the model has it, the draft's first.
 * @param {HTMLFormElement} form
 * @param {Choices} choices
 * @returns {boolean} whether a value changed
 */
export function offerChoices(form, choices) {
  const draft = new URLSearchParams(sessionStorage.getItem(storageKey(form, "draft")) ?? "");
  let isChanged = false;
  for (const [name, { values, fallback }] of Object.entries(choices)) {
    const field = form.elements.namedItem(name);
    if (!(field instanceof HTMLSelectElement)) continue;
    const row = field.closest(".field");
    if (row instanceof HTMLElement) row.hidden = values.length < 2;
    const offered = [...field.options].map(({ value }) => value);
    if (offered.length === values.length && offered.every((value, index) => value === values[index]))
      continue;
    const before = field.value;
    const kept = [draft.get(name), before].find((value) => value !== null && values.includes(value));
    field.replaceChildren(
      ...values.map((value) => new Option(value.replace(/^(\d+)x(\d+)$/, "$1 × $2"), value)),
    );
    field.value = kept ?? fallback;
    isChanged ||= field.value !== before;
  }
  return isChanged;
}

/**
 * Makes the next submit a new purchase.
 * @param {HTMLFormElement} form
 */
export function renewAttempt(form) {
  const attempt = form.elements.namedItem("attempt");
  if (!(attempt instanceof HTMLInputElement)) return;
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  attempt.value = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** @param {HTMLFormElement} form */
export function clearErrors(form) {
  for (const old of form.querySelectorAll(".error[id$=-error]")) old.remove();
  form.querySelector("[data-reference-error]")?.replaceChildren();
  for (const field of form.querySelectorAll("[aria-invalid]")) {
    field.removeAttribute("aria-invalid");
    field.removeAttribute("aria-describedby");
  }
  form.querySelector("[data-form-error]")?.replaceChildren();
}

/**
 * Shows errors and moves the focus to the first invalid field.
 * @param {HTMLFormElement} form
 * @param {Record<string, string>} errors by field; `form` for the form as a whole
 */
export function showErrors(form, errors) {
  clearErrors(form);
  for (const [name, message] of Object.entries(errors)) {
    const field = form.querySelector(`#${CSS.escape(name)}`);
    if (field instanceof HTMLElement) showFieldError(field, message);
    else form.querySelector("[data-form-error]")?.append(noticeOf(message));
  }
  const first = form.querySelector("[aria-invalid=true]");
  if (first instanceof HTMLElement) first.focus();
}

/**
 * @param {HTMLElement} field
 * @param {string} message
 */
function showFieldError(field, message) {
  const line = field.querySelector("[data-reference-error]");
  if (line) {
    line.textContent = message;
    return;
  }
  field.closest(".field")?.removeAttribute("hidden");
  const error = document.createElement("p");
  error.className = "error";
  error.id = `${field.id}-error`;
  error.textContent = message;
  field.setAttribute("aria-invalid", "true");
  field.setAttribute("aria-describedby", error.id);
  field.after(error);
}

/** @param {string} message */
function noticeOf(message) {
  const notice = document.createElement("div");
  notice.className = "notice bad";
  notice.setAttribute("role", "alert");
  const text = document.createElement("p");
  text.textContent = message;
  notice.append(text);
  return notice;
}
