const STORED = "language";

/** The tabs of code samples: a language that is chosen in one place is shown everywhere, also on the next page. */
document.addEventListener("change", ({ target }) => {
  if (!(target instanceof HTMLInputElement) || !target.closest(".code-tabs")) return;
  const { top } = target.getBoundingClientRect();
  choose(target.value);
  // The samples above may be longer or shorter now. The chosen tab stays where it is.
  scrollBy({ top: target.getBoundingClientRect().top - top, behavior: "instant" });
  try {
    localStorage.setItem(STORED, target.value);
  } catch {
    // The browser stores nothing for this site: the choice holds for this page.
  }
});

try {
  choose(localStorage.getItem(STORED));
} catch {
  // As above.
}

/**
 * Groups that do not have the language keep theirs.
 * @param {string | null} language
 */
function choose(language) {
  for (const radio of document.querySelectorAll(".code-tabs input"))
    if (radio instanceof HTMLInputElement && radio.value === language) radio.checked = true;
}
