/** Marks the section that is being read in the list of contents: the one at a line near the top of the window. */

/** From the top, as a share of the window. */
const LINE = 0.2;

/** @type {Map<Element, HTMLAnchorElement>} */
const links = new Map();
for (const link of document.querySelectorAll(".contents a")) {
  if (!(link instanceof HTMLAnchorElement)) continue;
  const section = document.getElementById(link.hash.slice(1))?.closest("section");
  if (section) links.set(section, link);
}

const footer = document.querySelector("footer");

for (const event of ["scroll", "resize", "hashchange"]) addEventListener(event, mark, { passive: true });
mark();

/** At the end of the page, sections do not reach the line: the one that was opened counts, or the last. */
function mark() {
  const sections = [...links.keys()];
  const topOf = (/** @type {Element} */ element) => element.getBoundingClientRect().top;
  const isAtEnd = footer !== null && topOf(footer) < innerHeight;
  const opened = sections.find((section) => links.get(section)?.hash === location.hash);
  const isOpen = opened && topOf(opened) >= 0;
  const reading = sections.findLast((section) => topOf(section) <= innerHeight * LINE);
  const current = isAtEnd ? (isOpen ? opened : sections.at(-1)) : reading;
  for (const [section, link] of links) link.ariaCurrent = section === current ? "location" : null;
}
