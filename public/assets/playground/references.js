import { textOf } from "../texts.js";
import { saveDraft, storageKey } from "./form.js";

/** The reference images of the form: files, pasted and dropped images, and earlier images, each uploaded at once. */

/**
 * @typedef {{ id: string, name: string, image?: string }} Reference `image` is the key of an earlier image
 */

const UPLOAD_MS_MAX = 120_000;
const CHIP_PIXELS = 96;

/** The uploads so far, one after the other. */
let uploading = Promise.resolve();

/** Resolves when every upload has ended. */
export function uploadsEnded() {
  return uploading;
}

/**
 * Shows the references of the draft, and takes new ones.
 * @param {HTMLFormElement} form
 */
export function startReferences(form) {
  for (const reference of stored(form)) addChip(form, reference);
  writeIds(form);
  const files = form.querySelector("#reference-files");
  if (files instanceof HTMLInputElement) {
    files.addEventListener("change", () => {
      addFiles(form, files.files ?? []);
      files.value = "";
    });
  }
  form.addEventListener("dragover", (event) => {
    if (event.dataTransfer?.types.includes("Files")) event.preventDefault();
  });
  form.addEventListener("drop", (event) => {
    const dropped = event.dataTransfer?.files ?? [];
    if (dropped.length === 0) return;
    event.preventDefault();
    addFiles(form, dropped);
  });
  document.addEventListener("paste", (event) => {
    const pasted = event.clipboardData?.files ?? [];
    if (pasted.length === 0) return;
    event.preventDefault();
    addFiles(form, pasted);
  });
}

/**
 * @param {HTMLFormElement} form
 * @param {Iterable<File>} files
 */
function addFiles(form, files) {
  for (const file of files) add(form, file.name || textOf("pastedImage"), "", file);
}

/**
 * Adds an earlier image, which the service copies.
 * @param {HTMLFormElement} form
 * @param {string} image its key
 */
export function addImage(form, image) {
  add(form, textOf("earlierImage"), `?image=${encodeURIComponent(image)}`, null, image);
  form.querySelector("[data-references]")?.scrollIntoView({ block: "nearest" });
}

/**
 * Says how many references the chosen model takes. Those of the form stay for another model.
 * @param {HTMLFormElement} form
 * @param {number} most
 */
export function limitReferences(form, most) {
  const hint = form.querySelector("#references-hint");
  const files = form.querySelector("#reference-files");
  if (hint) {
    hint.textContent = most === 0 ? textOf("noReferences") : textOf("upToReferences", { most: String(most) });
  }
  if (files instanceof HTMLInputElement) files.hidden = most === 0;
}

/**
 * @param {HTMLFormElement} form
 * @param {string} name
 * @param {string} query
 * @param {File | null} file
 * @param {string} [image]
 */
function add(form, name, query, file, image) {
  say(form, "");
  const chip = addChip(form, { id: "", name, ...(image ? { image } : {}) });
  if (file) void drawFile(chip, file);
  uploading = uploading.then(async () => {
    // It may have been removed while it waited.
    if (!chip.isConnected) return;
    const answer = await upload(form, query, file);
    if (typeof answer.id === "string") {
      chip.dataset["id"] = answer.id;
      chip.removeAttribute("aria-busy");
      store(form);
      return;
    }
    chip.remove();
    say(form, `${name}: ${answer.error ?? textOf("uploadFailed")}`);
  });
}

/**
 * @param {HTMLFormElement} form
 * @param {string} query
 * @param {File | null} file
 * @returns {Promise<{ id?: string, error?: string }>}
 */
async function upload(form, query, file) {
  try {
    const response = await fetch(`${form.action}/references${query}`, {
      method: "POST",
      headers: { Accept: "application/json" },
      body: file,
      signal: AbortSignal.timeout(UPLOAD_MS_MAX),
    });
    return await response.json();
  } catch {
    return {};
  }
}

/**
 * @param {HTMLFormElement} form
 * @param {Reference} reference without an id while it is uploaded
 */
function addChip(form, { id, name, image }) {
  const chip = document.createElement("li");
  chip.dataset["id"] = id;
  chip.dataset["name"] = name;
  if (id === "") chip.setAttribute("aria-busy", "true");
  if (image) {
    chip.dataset["image"] = image;
    const picture = document.createElement("img");
    picture.src = `/images/${image}.640.webp`;
    picture.alt = "";
    chip.append(picture);
  }
  const label = document.createElement("span");
  label.textContent = name;
  const remove = document.createElement("button");
  remove.type = "button";
  remove.className = "link";
  remove.textContent = textOf("remove");
  remove.setAttribute("aria-label", textOf("removeNamed", { name }));
  remove.addEventListener("click", () => {
    chip.remove();
    store(form);
  });
  chip.append(label, remove);
  form.querySelector("[data-chips]")?.append(chip);
  return chip;
}

/**
 * Draws a small picture of a file. The page's policy has no blob URLs, so it is drawn on a canvas.
 * @param {HTMLElement} chip
 * @param {File} file
 */
async function drawFile(chip, file) {
  try {
    const picture = await createImageBitmap(file, { resizeWidth: CHIP_PIXELS, resizeQuality: "medium" });
    const canvas = document.createElement("canvas");
    canvas.width = picture.width;
    canvas.height = picture.height;
    canvas.getContext("2d")?.drawImage(picture, 0, 0);
    chip.prepend(canvas);
  } catch {
    // It is not an image: the upload says so.
  }
}

/** @param {HTMLFormElement} form */
function chipsOf(form) {
  return [...form.querySelectorAll("[data-chips] > li")].filter((chip) => chip instanceof HTMLElement);
}

/** @param {HTMLFormElement} form @returns {Reference[]} */
function stored(form) {
  return JSON.parse(sessionStorage.getItem(storageKey(form, "references")) ?? "[]");
}

/** @param {HTMLFormElement} form */
function store(form) {
  const references = chipsOf(form)
    .map(({ dataset }) => ({ id: dataset["id"], name: dataset["name"], image: dataset["image"] }))
    .filter(({ id }) => id !== "");
  sessionStorage.setItem(storageKey(form, "references"), JSON.stringify(references));
  writeIds(form);
  saveDraft(form);
  form.dispatchEvent(new Event("input"));
}

/** @param {HTMLFormElement} form */
function writeIds(form) {
  const field = form.elements.namedItem("references");
  const ids = chipsOf(form).flatMap(({ dataset }) => dataset["id"] || []);
  if (field instanceof HTMLInputElement) field.value = ids.join(" ");
}

/** @param {HTMLFormElement} form @param {string} error */
function say(form, error) {
  const line = form.querySelector("[data-reference-error]");
  if (line) line.textContent = error;
}
