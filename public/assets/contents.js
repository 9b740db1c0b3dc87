/** Marks the section that is being read in the list of contents: the one at a line near the top of the window. */
const LINE = "-20% 0px -80% 0px";

/** @type {Map<Element, HTMLAnchorElement>} */
const links = new Map();
for (const link of document.querySelectorAll(".contents a")) {
  if (!(link instanceof HTMLAnchorElement)) continue;
  const section = document.getElementById(link.hash.slice(1))?.closest("section");
  if (section) links.set(section, link);
}

/** @type {Element | undefined} */
let reading;
let isAtEnd = false;

const observer = new IntersectionObserver(
  (entries) => {
    for (const { target, isIntersecting } of entries) if (isIntersecting) reading = target;
    mark();
  },
  { rootMargin: LINE },
);
for (const section of links.keys()) observer.observe(section);

const footer = document.querySelector("footer");
if (footer) new IntersectionObserver(([entry]) => mark(entry?.isIntersecting)).observe(footer);
// At the end of the page, a link may not scroll.
addEventListener("hashchange", () => mark());

/** At the end of the page, sections do not reach the line: the one that was opened counts, or the last. */
function mark(atEnd = isAtEnd) {
  isAtEnd = atEnd;
  const sections = [...links.keys()];
  const opened = sections.find((one) => links.get(one)?.hash === location.hash);
  const isOpen = opened && opened.getBoundingClientRect().top >= 0;
  const current = isAtEnd ? (isOpen ? opened : sections.at(-1)) : reading;
  for (const [section, link] of links) link.ariaCurrent = section === current ? "location" : null;
}
