import type { Child, FC } from "hono/jsx";
import type { GenerationDetail } from "../account/views.ts";
import type { Config } from "../config.ts";
import { formatDate, formatTime } from "./format.ts";
import type { FormErrors } from "./forms.ts";

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
  <time datetime={new Date(at).toISOString()}>{formatTime(at)}</time>
);

/** A date without the time of day. */
export const Day: FC<{ at: number }> = ({ at }) => (
  <time datetime={new Date(at).toISOString().slice(0, 10)}>{formatDate(at)}</time>
);

/** Makes an element that scrolls reachable by keyboard. */
export function scrolls(label: string) {
  return { tabindex: 0, role: "group", "aria-label": label };
}

/** A code sample. The script shows its copy button. */
export const Code: FC<{ text: string; label: string; id?: string; copy?: string }> = ({
  text,
  label,
  id,
  copy = "Copy",
}) => (
  <div class="code">
    <button class="copy" type="button" hidden data-copy>
      {copy}
    </button>
    <pre {...scrolls(label)}>
      <code id={id}>{text}</code>
    </pre>
  </div>
);

const STATUS_WORDS = {
  queued: "Queued",
  processing: "Generating",
  succeeded: "Ready",
  failed: "Failed",
  canceled: "Canceled",
} as const;

export const Status: FC<{ status: GenerationDetail["status"] }> = ({ status }) => (
  <span class={`status ${status}`}>{STATUS_WORDS[status]}</span>
);

export function imageSource(config: Config, key: string): string {
  return `${config.IMAGES_BASE_URL ?? "/images"}/${key}`;
}

/** Generations as tiles, each with its first image. */
export const Gallery: FC<{ generations: readonly GenerationDetail[]; config: Config }> = ({
  generations,
  config,
}) => (
  <ul class="gallery">
    {generations.map(({ id, status, images, request, createdAt }) => {
      const [first] = images;
      return (
        <li>
          <a href={`/account/generations/${id}`}>
            <span class="tile">
              {first ? (
                <img
                  src={imageSource(config, first.key)}
                  alt={request.prompt.slice(0, 120)}
                  width={first.width}
                  height={first.height}
                  loading="lazy"
                />
              ) : (
                <Status status={status} />
              )}
              {images.length > 1 ? <span class="count">{images.length}</span> : null}
            </span>
            <span class="tile-words">
              <span class="prompt">{request.prompt}</span>
              <Time at={createdAt} />
            </span>
          </a>
        </li>
      );
    })}
  </ul>
);

export const Empty: FC<{ children?: Child }> = ({ children }) => <div class="empty">{children}</div>;

/** Tells users without credits how to get some. @param sells whether this site sells packs */
export const NoCredits: FC<{ credits: number; email: string; sells: boolean }> = ({
  credits,
  email,
  sells,
}) =>
  credits > 0 ? null : (
    <div class="notice">
      <p>
        <strong>You have no credits.</strong>{" "}
        {sells ? (
          <a href="/account/credits#packs">Buy a credit pack</a>
        ) : (
          `Contact support to add credits to ${email}`
        )}{" "}
        to generate images. Meanwhile, create an API key or read <a href="/docs">the documentation</a>.
      </p>
    </div>
  );

/** A section of a page, labelled by its heading. */
export const Section: FC<{ id: string; name: string; children?: Child }> = ({ id, name, children }) => (
  <section aria-labelledby={id}>
    <h2 id={id}>{name}</h2>
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
