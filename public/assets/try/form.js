import { curlOf, requestOf } from "./request.js";

/** @typedef {import("./request.js").Operation} Operation */

const STORED = "try-key";
const TEST_KEY = "gih_test_";
const BODY_LENGTH_MAX = 20_000;
/** Longer than the service waits for images. */
const ANSWER_MS_MAX = 15 * 60_000;
const HEADERS = ["content-type", "location", "retry-after", "ratelimit", "ratelimit-policy", "x-request-id"];
const QUESTION = "This is a live key. The request changes your account and can cost credits. Send it?";

/**
 * A form that sends the request of an operation. The key is kept in the session storage of this tab, and never in a URL.
 * @param {Operation} operation
 */
export function formOf(operation) {
  const { operationId: id, parameters = [], security, requestBody } = operation;
  const form = Object.assign(document.createElement("form"), { className: "try" });
  const key = security.length === 0 ? null : keyField(form, `${id}-key`);
  const inputs = new Map(
    parameters.map(({ name, in: place, required = false, example }) => {
      const input = field(form, `${id}-${name}`, `${name} (${place})`, document.createElement("input"));
      input.required = required;
      if (required && example !== undefined) input.value = String(example);
      return [name, input];
    }),
  );
  const example = requestBody?.content["application/json"]?.example;
  const body =
    requestBody === undefined
      ? null
      : field(form, `${id}-body`, "Body (JSON)", document.createElement("textarea"));
  if (body) body.value = JSON.stringify(example ?? {}, null, 2);
  const send = Object.assign(document.createElement("button"), {
    className: "button small",
    textContent: "Send",
  });
  const copy = Object.assign(document.createElement("button"), {
    type: "button",
    className: "button quiet small",
    textContent: "Copy as curl",
  });
  copy.dataset["copy"] = "";
  const actions = Object.assign(document.createElement("p"), { className: "actions" });
  actions.append(send, copy);
  const answer = Object.assign(document.createElement("div"), { className: "try-answer" });
  answer.setAttribute("aria-live", "polite");
  form.append(actions, answer);

  const request = () => {
    const values = new Map([...inputs].map(([name, input]) => [name, input.value]));
    return requestOf(operation, values, key?.value.trim() ?? "", body?.value ?? null);
  };
  // Before copy.js, which listens at the document, reads it.
  copy.addEventListener("click", () => {
    copy.dataset["copyText"] = curlOf(request());
  });
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (key) store(key.value.trim());
    const isLive = key !== null && !key.value.trim().startsWith(TEST_KEY);
    if (isLive && operation.method !== "GET" && !confirm(QUESTION)) return;
    send.disabled = true;
    answer.textContent = "Sending…";
    try {
      await show(answer, request());
    } catch {
      answer.textContent = "There was no answer. The request may have been carried out.";
    }
    send.disabled = false;
  });
  return form;
}

/** @param {HTMLElement} form @param {string} id */
function keyField(form, id) {
  const key = field(form, id, "API key", document.createElement("input"));
  Object.assign(key, { type: "password", autocomplete: "off", required: true, placeholder: `${TEST_KEY}…` });
  key.value = stored();
  const textContent = "A test key costs nothing. The key stays in this tab.";
  form.append(Object.assign(document.createElement("p"), { className: "hint", textContent }));
  return key;
}

/** @param {HTMLElement} answer @param {import("./request.js").Request} request */
async function show(answer, { url, ...init }) {
  const response = await fetch(url, {
    ...init,
    credentials: "omit",
    signal: AbortSignal.timeout(ANSWER_MS_MAX),
  });
  const text = /json|text/.test(response.headers.get("content-type") ?? "") ? await response.text() : "";
  const headers = HEADERS.flatMap((name) => {
    const value = response.headers.get(name);
    return value === null ? [] : [`${name}: ${value}`];
  });
  const shown = text.length > BODY_LENGTH_MAX ? `${text.slice(0, BODY_LENGTH_MAX)}\n…` : text;
  const status = document.createElement("p");
  status.append(
    Object.assign(document.createElement("strong"), {
      textContent: `${response.status} ${response.statusText}`,
    }),
  );
  const code = Object.assign(document.createElement("pre"), {
    tabIndex: 0,
    textContent: [...headers, "", pretty(shown)].join("\n"),
  });
  code.setAttribute("role", "group");
  code.setAttribute("aria-label", "Response");
  answer.replaceChildren(status, code);
  for (const [, address] of text.matchAll(/"url":\s*"([^"]+\.(?:png|jpeg|jpg|webp))"/g))
    answer.append(
      Object.assign(document.createElement("img"), { src: address ?? "", alt: "The image of the response" }),
    );
}

/** @param {string} text */
function pretty(text) {
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text;
  }
}

/**
 * Adds a labelled field.
 * @template {HTMLInputElement | HTMLTextAreaElement} Input
 * @param {HTMLElement} form
 * @param {string} id
 * @param {string} label
 * @param {Input} input
 */
function field(form, id, label, input) {
  const name = Object.assign(document.createElement("label"), { htmlFor: `try-${id}`, textContent: label });
  input.id = `try-${id}`;
  input.spellcheck = false;
  form.append(name, input);
  return input;
}

function stored() {
  try {
    return sessionStorage.getItem(STORED) ?? "";
  } catch {
    return "";
  }
}

/** @param {string} key */
function store(key) {
  try {
    sessionStorage.setItem(STORED, key);
  } catch {
    // The browser stores nothing for this site: the key holds for this form.
  }
}
