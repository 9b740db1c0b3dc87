import { textOf } from "./texts.js";
import { waitForEnd } from "./wait.js";

/** Shows the progress of a generation on its page, and reloads the page at the end. */
const progress = document.querySelector("[data-progress]");

if (progress instanceof HTMLElement) {
  const seconds = progress.querySelector("[data-seconds]");
  const status = progress.querySelector(".status");
  const cancel = document.querySelector("[data-cancel]");
  const ended = await waitForEnd(
    progress.dataset["progress"] ?? "",
    (state) => {
      const began = Number(progress.dataset["began"]);
      const passed = Math.max(0, Math.floor((Date.now() - began) / 1000));
      if (seconds) seconds.textContent = textOf("seconds", { seconds: String(passed) });
      if (status) status.textContent = textOf(state.status === "queued" ? "queued" : "generating");
      if (state.status !== "queued") cancel?.remove();
    },
    () => {
      if (seconds) seconds.textContent = textOf("retrying");
    },
  );
  if (ended) location.reload();
  else progress.querySelector("[data-reload]")?.removeAttribute("hidden");
}
