import { language } from "./texts.js";

/** Shows times in the reader's time zone. The server renders them in UTC, which stays as the title. */
const TIME = new Intl.DateTimeFormat(language === "en" ? "en-GB" : language, {
  day: "numeric",
  month: "short",
  year: "numeric",
  hour: "2-digit",
  minute: "2-digit",
});

/** @param {ParentNode} root */
export function localizeTimes(root) {
  for (const time of root.querySelectorAll("time")) {
    // A day has no time zone.
    if (!time.dateTime.includes("T") || time.title !== "") continue;
    time.title = time.textContent ?? "";
    time.textContent = TIME.format(new Date(time.dateTime));
  }
}

localizeTimes(document);
