import { textOf } from "./texts.js";

// A browser may keep a page in memory and show it again on Back, so remove the key, which is shown only once.
addEventListener("pagehide", () => {
  for (const secret of document.querySelectorAll("output")) secret.textContent = "";
});

const SHOWN_MS = 1_500;
/** Read by screen readers when it changes. */
const announcer = document.createElement("p");
announcer.className = "unseen";
announcer.setAttribute("role", "status");
document.body.append(announcer);

/**
 * Copy buttons, also those that are added later: each copies its own text, the element that it names, or the code beside
 * it.
 */
document.addEventListener("click", async ({ target }) => {
  const button = target instanceof Element ? target.closest("button[data-copy]") : null;
  if (!(button instanceof HTMLButtonElement) || button.dataset["copied"] !== undefined) return;
  const id = button.dataset["copyFrom"];
  const source = id ? document.getElementById(id) : button.parentElement?.querySelector("code");
  const text = button.dataset["copyText"] ?? source?.textContent ?? "";
  const isCopied = await copy(text);
  const label = [...button.childNodes];
  button.dataset["copied"] = "";
  button.textContent = isCopied ? "✓" : textOf("notCopied");
  announcer.textContent = textOf(isCopied ? "copied" : "notCopied");
  setTimeout(() => {
    button.replaceChildren(...label);
    announcer.textContent = "";
    delete button.dataset["copied"];
  }, SHOWN_MS);
});

/**
 * Copies a text. On plain HTTP a page has no clipboard, so the text is selected in a field and copied from there.
 * @param {string} text
 * @returns {Promise<boolean>} whether it was copied
 */
async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    const field = document.createElement("textarea");
    field.className = "unseen";
    field.value = text;
    const focused = document.activeElement;
    document.body.append(field);
    field.focus();
    field.select();
    const isCopied = document.execCommand("copy");
    field.remove();
    if (focused instanceof HTMLElement) focused.focus();
    return isCopied;
  }
}
