import type { Child, FC } from "hono/jsx";
import type { GenerationDetail } from "../account/views.ts";
import type { Config } from "../config.ts";
import { type RenditionEdge, renditionKey } from "../images/keys.ts";
import { excerptOf } from "./format.ts";
import type { FormErrors } from "./forms.ts";
import { useTexts } from "./texts/language.ts";

/** How much of a prompt a tile shows, in characters, and how much names it for screen readers. */
const PROMPT_SHOWN = 140;
const LABEL_SHOWN = 80;

/** An input with its label and its error, which a screen reader reads with the field. */
export const Field: FC<{
  name: string;
  label: string;
  type?: string;
  value?: string | undefined;
  hint?: string;
  errors?: FormErrors | undefined;
  autocomplete?: string;
  inputmode?: "numeric";
  required?: boolean;
  minlength?: number;
  maxlength?: number;
}> = ({ name, label, type = "text", hint, errors = {}, ...input }) => {
  const error = errors[name];
  const described = [hint ? `${name}-hint` : "", error ? `${name}-error` : ""].filter(Boolean).join(" ");
  return (
    <div class="field">
      <label for={name}>{label}</label>
      {hint ? (
        <p class="hint" id={`${name}-hint`}>
          {hint}
        </p>
      ) : null}
      <input
        id={name}
        name={name}
        type={type}
        {...input}
        aria-invalid={error ? "true" : undefined}
        aria-describedby={described || undefined}
      />
      <FieldError name={name} errors={errors} />
    </div>
  );
};

/** The field of the user's present password. */
export const CurrentPassword: FC<{ name: string; label: string; errors?: FormErrors | undefined }> = (
  props,
) => <Field {...props} type="password" autocomplete="current-password" required />;

export const FieldError: FC<{ name: string; errors?: FormErrors | undefined }> = ({ name, errors = {} }) =>
  errors[name] ? (
    <p class="error" id={`${name}-error`}>
      {errors[name]}
    </p>
  ) : null;

/** The error of a form as a whole. A screen reader reads it at once. */
export const FormError: FC<{ errors?: FormErrors | undefined }> = ({ errors = {} }) =>
  errors["form"] ? (
    <div class="notice bad" role="alert">
      <p>{errors["form"]}</p>
    </div>
  ) : null;

export const Time: FC<{ at: number }> = ({ at }) => (
  <time datetime={new Date(at).toISOString()}>{useTexts().format.time(at)}</time>
);

/** A date without the time of day. */
export const Day: FC<{ at: number }> = ({ at }) => (
  <time datetime={new Date(at).toISOString().slice(0, 10)}>{useTexts().format.date(at)}</time>
);

/** Makes an element that scrolls reachable by keyboard. */
export function scrolls(label: string) {
  return { tabindex: 0, role: "group", "aria-label": label };
}

/** A code sample. Its copy button is hidden where scripts do not run. */
export const Code: FC<{ text: string; label: string; id?: string }> = ({ text, label, id }) => (
  <div class="code">
    <button class="copy" type="button" data-copy>
      {useTexts().copy}
    </button>
    <pre {...scrolls(label)}>
      <code id={id}>{text}</code>
    </pre>
  </div>
);

const LANGUAGES = { curl: "curl", javascript: "JavaScript", python: "Python", openai: "OpenAI SDK" } as const;

/** The same request in several languages, in the order of their tabs. */
export type Samples = readonly (readonly [keyof typeof LANGUAGES, string])[];

/**
 * Code samples, one at a time. Radio buttons, so that they work without scripts; `tabs.js` makes one choice for all. The
 * code has the id `${id}-${language}`.
 * @param label of each sample, followed by its language
 */
export const CodeTabs: FC<{
  id: string;
  legend: string;
  label: string;
  samples: Samples;
}> = ({ id, legend, label, samples }) => (
  <div class="samples">
    <fieldset class="code-tabs">
      <legend class="unseen">{legend}</legend>
      {samples.map(([language], at) => (
        <label>
          <input type="radio" name={id} value={language} checked={at === 0} />
          {LANGUAGES[language]}
        </label>
      ))}
    </fieldset>
    {samples.map(([language, text]) => (
      <div class="sample" data-language={language}>
        <Code label={`${label}: ${LANGUAGES[language]}`} text={text} id={`${id}-${language}`} />
      </div>
    ))}
  </div>
);

export const Status: FC<{ status: GenerationDetail["status"] }> = ({ status }) => (
  <span class={`status ${status}`}>{useTexts().status[status]}</span>
);

export function imageSource(config: Config, key: string): string {
  return `${config.IMAGES_BASE_URL ?? "/images"}/${key}`;
}

/** A smaller copy of an image, which this service makes and serves itself. */
export function renditionSource(key: string, edge: RenditionEdge): string {
  return `/images/${renditionKey(key, edge)}`;
}

type GalleryProps = {
  generations: readonly GenerationDetail[];
  isSelectable?: boolean;
  /** How many of the first images the browser loads before all others. */
  first?: number;
};

/** Generations as tiles, each with its first image. The script `live.js` keeps them up to date. */
export const Gallery: FC<GalleryProps> = ({ generations, isSelectable = false, first = 0 }) => {
  const { parts } = useTexts();
  return (
    <ul class="gallery" id="gallery" data-live>
      {generations.map((generation, at) => (
        <li id={generation.id} data-status={generation.status}>
          <a href={`/account/generations/${generation.id}`}>
            <Tile generation={generation} isUrgent={at < first} />
            <span class="tile-words">
              <span class="prompt">{excerptOf(generation.request.prompt, PROMPT_SHOWN)}</span>
              <Time at={generation.createdAt} />
            </span>
          </a>
          {isSelectable && generation.images.length > 0 ? (
            <label class="select">
              <input type="checkbox" name="id" value={generation.id} />
              <span class="unseen">{parts.select(excerptOf(generation.request.prompt, LABEL_SHOWN))}</span>
            </label>
          ) : null}
        </li>
      ))}
    </ul>
  );
};

const Tile: FC<{ generation: GenerationDetail; isUrgent?: boolean }> = ({
  generation: { images, status },
  isUrgent = false,
}) => {
  const [first] = images;
  return (
    <span class="tile">
      {first ? (
        <img
          src={renditionSource(first.key, 640)}
          alt=""
          width={first.width}
          height={first.height}
          loading={isUrgent ? "eager" : "lazy"}
          fetchpriority={isUrgent ? "high" : undefined}
          decoding="async"
        />
      ) : (
        <Status status={status} />
      )}
      {images.length > 1 ? <span class="count">{images.length}</span> : null}
    </span>
  );
};

/** The newest generations as small tiles. */
export const Strip: FC<{ generations: readonly GenerationDetail[] }> = ({ generations }) => (
  <ul class="strip" id="strip" data-live>
    {generations.map((generation) => (
      <li id={`recent-${generation.id}`} data-status={generation.status}>
        <a href={`/account/generations/${generation.id}`}>
          <Tile generation={generation} />
          <span class="unseen">{excerptOf(generation.request.prompt, LABEL_SHOWN)}</span>
        </a>
      </li>
    ))}
  </ul>
);

export const Empty: FC<{ children?: Child }> = ({ children }) => <div class="empty">{children}</div>;

/** Tells users without credits how to get some. @param sells whether this site sells packs */
export const NoCredits: FC<{ credits: number; email: string; sells: boolean }> = ({
  credits,
  email,
  sells,
}) => {
  const { parts, paths } = useTexts();
  return credits > 0 ? null : (
    <div class="notice">
      <p>
        <strong>{parts.noCredits}</strong>{" "}
        {parts.noCreditsHow(
          sells ? <a href="/account/credits#packs">{parts.buyPack}</a> : parts.contactSupport(email),
          <a href={paths.guide}>{parts.theDocumentation}</a>,
        )}
      </p>
    </div>
  );
};

/** The text of a heading, as a link to it. */
export const Anchor: FC<{ id: string; name: string }> = ({ id, name }) => <a href={`#${id}`}>{name}</a>;

/** A section of a page, labelled by its heading. @param linked whether the heading links to itself */
export const Section: FC<{ id: string; name: string; linked?: boolean; children?: Child }> = ({
  id,
  name,
  linked = false,
  children,
}) => (
  <section aria-labelledby={id}>
    <h2 id={id}>{linked ? <Anchor id={id} name={name} /> : name}</h2>
    {children}
  </section>
);

/** With `stacked`, a phone shows each row as a block, with the last cell below the others. */
export const Table: FC<{ label: string; head: readonly string[]; stacked?: boolean; children?: Child }> = ({
  label,
  head,
  stacked = false,
  children,
}) => (
  <div class={stacked ? "table stacked" : "table"} {...scrolls(label)}>
    <table>
      <thead>
        <tr>
          {head.map((name) => (
            <th scope="col">{name}</th>
          ))}
        </tr>
      </thead>
      <tbody>{children}</tbody>
    </table>
  </div>
);
