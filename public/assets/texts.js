/** The texts of the scripts, which the page brings in its language. */

/** @type {ReadonlyMap<string, string>} */
const texts = new Map(Object.entries(JSON.parse(document.querySelector("#texts")?.textContent ?? "{}")));

/** BCP 47. */
export const language = document.documentElement.lang;

/**
 * @param {string} name of a text in `scripts` of src/pages/texts
 * @param {Record<string, string>} [values] replace their names in braces
 */
export function textOf(name, values = {}) {
  return (texts.get(name) ?? name).replace(/\{(\w+)\}/g, (_, value) => values[value] ?? "");
}
