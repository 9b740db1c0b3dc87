import { Hono } from "hono";
import type { FC } from "hono/jsx";
import text from "../../../../CHANGELOG.md";
import { cachePublicly, type PagesEnv, siteOrigin } from "../../env.ts";
import { PublicPage } from "../../layout.tsx";
import { Anchor, Section } from "../../parts.tsx";
import { english } from "../../texts/english.tsx";
import { type Group, type Release, readChangelog } from "./changelog.ts";

/** What changed in each release, from CHANGELOG.md and, like it, in English. */
export const changelog = new Hono<PagesEnv>();

export const CHANGELOG_PATH = "/docs/changelog";
const FEED_PATH = `${CHANGELOG_PATH}.xml`;

const releases = readChangelog(text);

changelog.get(CHANGELOG_PATH, (c) => {
  cachePublicly(c);
  return c.html(<ChangelogPage />);
});

/** RFC 4287. Only releases with a date. */
changelog.get(FEED_PATH, (c) => {
  cachePublicly(c);
  const address = `${siteOrigin(c)}${CHANGELOG_PATH}`;
  const dated = releases.flatMap((release) =>
    release.date === null ? [] : [{ ...release, date: release.date }],
  );
  const feed = (
    <feed xmlns="http://www.w3.org/2005/Atom">
      <title>GPT Image Hub changelog</title>
      <id>{address}</id>
      <link href={address} />
      <link rel="self" href={`${siteOrigin(c)}${FEED_PATH}`} />
      <author>
        <name>GPT Image Hub</name>
      </author>
      <updated>{timeOf(dated[0]?.date)}</updated>
      {dated.map((release) => (
        <entry>
          <title>{release.name}</title>
          <id>{`${address}#${release.id}`}</id>
          <link href={`${address}#${release.id}`} />
          <updated>{timeOf(release.date)}</updated>
          <content type="html">{String(<Groups release={release} />)}</content>
        </entry>
      ))}
    </feed>
  );
  return c.body(`<?xml version="1.0" encoding="UTF-8"?>${feed}`, 200, {
    "Content-Type": "application/atom+xml; charset=utf-8",
  });
});

function timeOf(date = "1970-01-01"): string {
  return `${date}T00:00:00Z`;
}

const ChangelogPage: FC = () => (
  <PublicPage
    texts={english}
    isOneLanguage
    title="Changelog · GPT Image Hub"
    description="What changed in each release of GPT Image Hub."
    feed={FEED_PATH}
    scripts={["contents.js"]}
  >
    <div class="wrap guide">
      <nav class="contents" aria-label="On this page">
        <ol>
          {releases.map(({ id, name }) => (
            <li>
              <a href={`#${id}`}>{name}</a>
            </li>
          ))}
        </ol>
      </nav>
      <div class="text">
        <h1>Changelog</h1>
        <p class="lead">
          What changed in each release of the service. New releases are also in the{" "}
          <a href={FEED_PATH}>Atom feed</a>.
        </p>
        {releases.map((release) => (
          <Section linked id={release.id} name={release.name}>
            {release.date === null ? null : (
              <p class="hint">
                <time datetime={release.date}>{release.date}</time>
              </p>
            )}
            <Groups linked release={release} />
          </Section>
        ))}
      </div>
    </div>
  </PublicPage>
);

const Groups: FC<{ release: Release; linked?: boolean }> = ({ release: { id, groups }, linked = false }) => (
  <>
    {groups.map((group) => (
      <>
        <Heading
          id={`${id}-${group.name?.toLowerCase().replaceAll(" ", "-")}`}
          group={group}
          linked={linked}
        />
        {group.paragraphs.map((paragraph) => (
          <p>
            <Inline text={paragraph} />
          </p>
        ))}
        {group.items.length === 0 ? null : (
          <ul>
            {group.items.map((item) => (
              <li>
                <Inline text={item} />
              </li>
            ))}
          </ul>
        )}
      </>
    ))}
  </>
);

const Heading: FC<{ id: string; group: Group; linked: boolean }> = ({ id, group: { name }, linked }) =>
  name === null ? null : linked ? (
    <h3 id={id}>
      <Anchor id={id} name={name} />
    </h3>
  ) : (
    <h3>{name}</h3>
  );

const MARKED = /(`[^`]+`|\*[^*]+\*|\[[^\]]+\]\([^)]+\))/;

/** Code, emphasis and links. Files of the repository have no page here, so links to them become plain text. */
const Inline: FC<{ text: string }> = ({ text: given }) => (
  <>
    {given.split(MARKED).map((part) => {
      if (/^`.+`$/.test(part)) return <code>{part.slice(1, -1)}</code>;
      if (/^\*.+\*$/.test(part)) return <em>{part.slice(1, -1)}</em>;
      const [, name, href = ""] = /^\[([^\]]+)\]\(([^)]+)\)$/.exec(part) ?? [];
      if (name === undefined) return part;
      return href.startsWith("https://") ? <a href={href}>{name}</a> : name;
    })}
  </>
);
