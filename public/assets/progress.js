import { waitForEnd } from "./wait.js";

/** On the page of a generation that has not ended: shows how it goes, and loads the page again at the end. */
const progress = document.querySelector("[data-progress]");

if (progress instanceof HTMLElement) {
  const seconds = progress.querySelector("[data-seconds]");
  const status = progress.querySelector(".status");
  const ended = await waitForEnd(
    progress.dataset["progress"] ?? "",
    (state) => {
      const began = Number(progress.dataset["began"]);
      if (seconds) seconds.textContent = `${Math.max(0, Math.floor((Date.now() - began) / 1000))} s`;
      if (status) status.textContent = state.status === "queued" ? "Waiting" : "Drawing";
    },
    () => {
      if (seconds) seconds.textContent = "No connection. Trying again…";
    },
  );
  if (ended) location.reload();
  else progress.querySelector("[data-reload]")?.removeAttribute("hidden");
}
