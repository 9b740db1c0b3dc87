// A browser may keep a page in memory and show it again on Back, so remove the key, which is shown only once.
addEventListener("pagehide", () => {
  for (const secret of document.querySelectorAll("output")) secret.textContent = "";
});

/** Copy buttons: each copies the element that it names, or the code beside it. Without scripts they stay hidden. */
for (const button of document.querySelectorAll("button[data-copy]")) {
  if (!(button instanceof HTMLButtonElement)) continue;
  button.hidden = false;
  const label = button.textContent;
  button.addEventListener("click", async () => {
    const id = button.dataset["copy"];
    const source = id ? document.getElementById(id) : button.parentElement?.querySelector("code");
    await navigator.clipboard.writeText(source?.textContent ?? "");
    button.textContent = "✓";
    setTimeout(() => {
      button.textContent = label;
    }, 1_500);
  });
}
