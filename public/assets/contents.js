/** Marks the section that is being read in the list of contents. */

/** Where the eyes are, from the top of the window. */
const LINE = "-20% 0px -80% 0px";

const nav = document.querySelector(".contents");
/** @type {Map<Element, HTMLAnchorElement>} */
const links = new Map();
for (const link of nav?.querySelectorAll("a") ?? []) {
  const section = document.getElementById(link.hash.slice(1))?.closest("section");
  if (section && !links.has(section)) links.set(section, link);
}

/** @type {Element | undefined} */
let reading;
let isAtEnd = false;

const line = new IntersectionObserver(
  (entries) => {
    reading = entries.find(({ isIntersecting }) => isIntersecting)?.target ?? reading;
    mark();
  },
  { rootMargin: LINE },
);
for (const section of links.keys()) line.observe(section);

const end = new IntersectionObserver(([entry]) => {
  isAtEnd = entry?.isIntersecting ?? false;
  mark();
});
const footer = document.querySelector("footer");
if (footer) end.observe(footer);
// At the end of the page, a link may not scroll.
addEventListener("hashchange", mark);

function mark() {
  const link = links.get(current() ?? document.body);
  if (link?.ariaCurrent) return;
  for (const other of links.values()) other.removeAttribute("aria-current");
  if (!link || !nav) return;
  link.setAttribute("aria-current", "location");
  if (nav.scrollHeight > nav.clientHeight) nav.scrollTop = link.offsetTop - nav.clientHeight / 2;
}

/** At the end of the page, the last sections cannot reach the line: the one that was opened counts, or the last. */
function current() {
  if (!isAtEnd) return reading;
  const sections = [...links.keys()];
  const opened = sections.find((section) => links.get(section)?.hash === location.hash);
  return opened && opened.getBoundingClientRect().top >= 0 ? opened : sections.at(-1);
}
