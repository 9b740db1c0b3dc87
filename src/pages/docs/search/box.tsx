import type { FC } from "hono/jsx";
import { QUERY_LENGTH_MAX } from "../../../../public/assets/search/match.js";
import { useTexts } from "../../texts/language.ts";

/**
 * A search box. `search.js` shows results while the reader types; without it, the form opens the page of results.
 * @param query what was searched
 */
export const SearchBox: FC<{ query?: string }> = ({ query }) => {
  const { search: words, paths } = useTexts();
  return (
    <search class="search">
      <form
        action={paths.search}
        data-search={`${paths.search}.json`}
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
