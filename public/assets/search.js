import { excerpt, search } from "./search/match.js";

const RESULTS_MAX = 8;

/** The search box of the documentation: a combobox. Without this script its form opens the page of results. */
const [form] = document.querySelectorAll("form[data-search]");
if (form instanceof HTMLFormElement) activate(form);

/** @param {HTMLFormElement} form */
function activate(form) {
  const input = form.querySelector("input");
  const list = form.querySelector("[role=listbox]");
  const status = form.querySelector("[role=status]");
  if (!input || !(list instanceof HTMLElement) || !status) return;
  const load = indexAt(form.dataset["search"] ?? "");
  let active = -1;
  const options = () => [...list.children];
  const close = () => {
    list.hidden = true;
    mark(-1);
    input.setAttribute("aria-expanded", "false");
  };
  /** @param {number} at */
  const mark = (at) => {
    active = at;
    for (const [position, option] of options().entries())
      option.setAttribute("aria-selected", String(position === at));
    const chosen = options()[at];
    if (chosen) {
      input.setAttribute("aria-activedescendant", chosen.id);
      chosen.scrollIntoView({ block: "nearest" });
    } else input.removeAttribute("aria-activedescendant");
  };
  const show = async () => {
    const query = input.value;
    const found = query.trim() === "" ? [] : search(await load(), query, RESULTS_MAX);
    if (input.value !== query) return;
    list.replaceChildren(...found.map((entry, position) => optionOf(entry, query, position)));
    mark(-1);
    list.hidden = found.length === 0;
    input.setAttribute("aria-expanded", String(found.length > 0));
    const words = found.length === 0 ? form.dataset["none"] : `${found.length} ${form.dataset["found"]}`;
    status.textContent = query.trim() === "" ? "" : (words ?? "");
  };

  input.addEventListener("focus", () => void load().catch(() => {}));
  input.addEventListener("input", () => void show().catch(close));
  input.addEventListener("blur", close);
  // Keeps the focus, so that the list stays until the link is followed.
  list.addEventListener("mousedown", (event) => event.preventDefault());
  input.addEventListener("keydown", (event) => {
    const count = options().length;
    const chosen = options()[active];
    if (event.key === "Escape") {
      close();
      input.blur();
    } else if ((event.key === "ArrowDown" || event.key === "ArrowUp") && count > 0) {
      event.preventDefault();
      list.hidden = false;
      input.setAttribute("aria-expanded", "true");
      const step = event.key === "ArrowDown" ? 1 : -1;
      mark(active === -1 && step === -1 ? count - 1 : (active + step + count) % count);
    } else if (event.key === "Enter" && chosen) {
      event.preventDefault();
      if (chosen instanceof HTMLElement) chosen.click();
      close();
    }
  });
  focusOnSlash(input);
}

/**
 * Loads the index once. Without a network the form still works, and the next input tries again.
 * @param {string} url
 */
function indexAt(url) {
  /** @type {Promise<import("./search/match.js").Entry[]> | undefined} */
  let index;
  return () => {
    index ??= fetch(url).then((response) => response.json());
    index.catch(() => {
      index = undefined;
    });
    return index;
  };
}

/** @param {HTMLInputElement} input */
function focusOnSlash(input) {
  document.addEventListener("keydown", (event) => {
    const { target } = event;
    const isTyping =
      target instanceof HTMLElement && target.closest("input, textarea, select, [contenteditable]") !== null;
    if (event.key !== "/" || isTyping || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    input.focus();
  });
}

/**
 * @param {import("./search/match.js").Entry} entry
 * @param {string} query
 * @param {number} position
 */
function optionOf({ page, path, heading, text }, query, position) {
  const option = document.createElement("a");
  option.id = `search-result-${position}`;
  option.setAttribute("role", "option");
  option.href = path;
  option.tabIndex = -1;
  for (const [name, content] of [
    ["strong", heading],
    ["span", page],
    ["span", excerpt(text, query)],
  ]) {
    const part = document.createElement(name ?? "span");
    part.textContent = content ?? "";
    option.append(part);
  }
  return option;
}
