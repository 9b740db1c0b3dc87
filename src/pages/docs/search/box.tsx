import type { FC } from "hono/jsx";
import { QUERY_LENGTH_MAX } from "../../../../public/assets/search/match.js";

export type SearchLanguage = "en" | "tr";

type Words = {
  path: string;
  label: string;
  placeholder: string;
  submit: string;
  none: string;
  found: string;
  title: string;
};

const ENGLISH: Words = {
  path: "/docs/search",
  label: "Search the documentation",
  placeholder: "Search ( / )",
  submit: "Search",
  none: "Nothing found",
  found: "results",
  title: "Search",
};

const TURKISH: Words = {
  path: "/tr/docs/search",
  label: "Belgelerde ara",
  placeholder: "Ara ( / )",
  submit: "Ara",
  none: "Sonuç bulunamadı",
  found: "sonuç",
  title: "Arama",
};

/** The words of the search, and the path of its page of results. */
export function searchWords(lang: SearchLanguage): Words {
  return lang === "tr" ? TURKISH : ENGLISH;
}

/**
 * A search box. `search.js` shows results while the reader types; without it, the form opens the page of results.
 * @param query what was searched
 */
export const SearchBox: FC<{ lang: SearchLanguage; query?: string }> = ({ lang, query }) => {
  const words = searchWords(lang);
  return (
    <search class="search">
      <form
        action={words.path}
        data-search={`${words.path}.json`}
        data-none={words.none}
        data-found={words.found}
      >
        <label class="unseen" for="search">
          {words.label}
        </label>
        <input
          id="search"
          type="search"
          name="q"
          value={query}
          placeholder={words.placeholder}
          maxlength={QUERY_LENGTH_MAX}
          autocomplete="off"
          role="combobox"
          aria-expanded="false"
          aria-controls="search-results"
          aria-autocomplete="list"
        />
        <div id="search-results" role="listbox" aria-label={words.title} hidden />
        <p class="unseen" role="status" />
        <noscript>
          <button class="button small" type="submit">
            {words.submit}
          </button>
        </noscript>
      </form>
    </search>
  );
};
