import { waitForEnd } from "./wait.js";

/** On the page of a generation that has not ended: tells how it goes, and shows the page anew at the end. */
const progress = document.querySelector("[data-progress]");

if (progress instanceof HTMLElement) {
  const seconds = progress.querySelector("[data-seconds]");
  const status = progress.querySelector(".status");
  await waitForEnd(progress.dataset["progress"] ?? "", (state) => {
    const began = Number(progress.dataset["began"]);
    if (seconds) seconds.textContent = `${Math.max(0, Math.floor((Date.now() - began) / 1000))} s`;
    if (status) status.textContent = state.status === "queued" ? "Waiting" : "Drawing";
  });
  location.reload();
}
