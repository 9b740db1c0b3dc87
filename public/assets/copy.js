// A browser may keep the page that it leaves, whole, for whoever comes back: what is shown once must not be on it.
addEventListener("pagehide", () => {
  for (const secret of document.querySelectorAll("output")) secret.textContent = "";
});

/** Buttons that copy: the text they name, or the code they stand with. Without scripts they are not there. */
for (const button of document.querySelectorAll("button[data-copy]")) {
  if (!(button instanceof HTMLButtonElement)) continue;
  button.hidden = false;
  const words = button.textContent;
  button.addEventListener("click", async () => {
    const named = button.dataset["copy"];
    const source = named ? document.getElementById(named) : button.parentElement?.querySelector("code");
    await navigator.clipboard.writeText(source?.textContent ?? "");
    button.textContent = "✓";
    setTimeout(() => {
      button.textContent = words;
    }, 1_500);
  });
}
