/** @type {Promise<import("./try/request.js").Operation[]> | undefined} */
let operations;

/**
 * "Try it" in the reference: a form for each operation, made from the OpenAPI document. Both are loaded at the first click.
 */
for (const address of document.querySelectorAll("[data-try]")) {
  const button = Object.assign(document.createElement("button"), {
    type: "button",
    className: "button quiet small",
    textContent: "Try it",
  });
  button.addEventListener("click", () => void open(address, button));
  address.append(" ", button);
}

function load() {
  operations ??= fetch("/openapi.json")
    .then((response) => response.json())
    .then(({ paths }) =>
      Object.entries(paths).flatMap(([path, methods]) =>
        Object.entries(methods).map(([method, operation]) => ({
          ...operation,
          path,
          method: method.toUpperCase(),
        })),
      ),
    );
  return operations;
}

/** @param {Element} address @param {HTMLButtonElement} button */
async function open(address, button) {
  const id = address.getAttribute("data-try");
  button.disabled = true;
  try {
    const [{ formOf }, found] = await Promise.all([import("./try/form.js"), load()]);
    const operation = found.find(({ operationId }) => operationId === id);
    if (!operation) return;
    const form = formOf(operation);
    address.after(form);
    button.remove();
    const first = form.querySelector("input, textarea, button");
    if (first instanceof HTMLElement) first.focus();
  } catch {
    // The document could not be loaded: the next click tries again.
    operations = undefined;
    button.disabled = false;
  }
}
