import type { FC } from "hono/jsx";
import type { SignedIn } from "../../../auth/sessions.ts";
import type { Model } from "../../../catalogue/model.ts";
import { formatCredits } from "../../format.ts";
import type { FormErrors } from "../../forms.ts";
import { AccountPage } from "../../layout.tsx";
import { Code, FieldError, FormError, NoCredits } from "../../parts.tsx";
import { choicesOf, isExactSize, type PlaygroundForm } from "./form.ts";
import { EXAMPLE_PROMPT, type Preview, previewOf } from "./preview.ts";

type PlaygroundProps = {
  signedIn: SignedIn;
  /** Those of this deployment. */
  models: readonly Model[];
  form: PlaygroundForm;
  credits: number;
  /** Whether this site sells credits. */
  sells: boolean;
  /** The id of the newest generation that has not ended. */
  running: string | undefined;
  origin: string;
  /** Whether the server filled in the form. If so, the browser's draft does not replace it. */
  isFilled: boolean;
  notes?: readonly string[];
  errors?: FormErrors;
  /** Identifies the rendered form, so that sending it twice is one purchase. */
  attempt?: string | undefined;
};

export const PlaygroundPage: FC<PlaygroundProps> = (props) => {
  const { signedIn, form, credits, origin, notes = [] } = props;
  const preview = previewOf(form, origin);
  return (
    <AccountPage
      title="Playground"
      at="/account/playground"
      signedIn={signedIn}
      scripts={["playground.js", "copy.js"]}
    >
      <div class="title-row">
        <h1>Playground</h1>
        <p class="hint" data-balance>
          {formatCredits(credits)} left
        </p>
      </div>
      <NoCredits credits={credits} email={signedIn.email} sells={props.sells} />
      {notes.map((note) => (
        <div class="notice">
          <p>{note}</p>
        </div>
      ))}
      <div class="playground">
        <PromptForm {...props} price={"error" in preview ? preview.error : preview.price} />
        <Stage running={props.running} />
      </div>
      {"error" in preview ? null : <Samples preview={preview} />}
    </AccountPage>
  );
};

const PromptForm: FC<PlaygroundProps & { price: string }> = ({
  signedIn,
  models,
  form,
  isFilled,
  errors,
  attempt = crypto.randomUUID(),
  price,
}) => (
  <form
    method="post"
    action="/account/playground"
    id="playground"
    data-owner={signedIn.userId}
    data-filled={isFilled ? "" : undefined}
    novalidate
  >
    <input type="hidden" name="attempt" value={attempt} autocomplete="off" />
    <div data-form-error>
      <FormError errors={errors} />
    </div>
    <div class="field">
      <label for="prompt">Prompt</label>
      <textarea
        id="prompt"
        name="prompt"
        rows={5}
        placeholder={`For example: ${EXAMPLE_PROMPT}`}
        aria-invalid={errors?.["prompt"] ? "true" : undefined}
        aria-describedby={errors?.["prompt"] ? "prompt-error" : undefined}
        required
      >
        {form.prompt}
      </textarea>
      <FieldError name="prompt" errors={errors} />
    </div>
    <Options models={models} form={form} errors={errors} />
    <p class="price" id="price" aria-live="polite">
      {price}
    </p>
    <button class="button" type="submit">
      Generate
    </button>
  </form>
);

const Stage: FC<{ running: string | undefined }> = ({ running }) => (
  <section
    class="stage"
    aria-label="Result"
    aria-live="polite"
    data-stage
    data-running={running && `/account/generations/${running}`}
  >
    {running ? (
      <p>
        A generation is running. <a href={`/account/generations/${running}`}>Open this generation</a>
      </p>
    ) : (
      <p class="hint">Your image appears here.</p>
    )}
  </section>
);

const LABELS = [
  ["aspect_ratio", "Aspect ratio"],
  ["resolution", "Resolution"],
  ["quality", "Quality"],
  ["n", "Images"],
] as const;

/** The model, and its own options. The script replaces the options when another model is chosen. */
const Options: FC<{ models: readonly Model[]; form: PlaygroundForm; errors: FormErrors | undefined }> = ({
  models,
  form,
  errors,
}) => {
  const model = models.find(({ id }) => id === form.model) ?? models[0];
  if (!model) return null;
  const choices = choicesOf(model, form);
  const ids = models.map(({ id }) => id);
  return (
    <div class="choices">
      {ids.length > 1 ? (
        <Select name="model" label="Model" values={ids} form={form} errors={errors} />
      ) : (
        <input type="hidden" name="model" value={model.id} />
      )}
      {LABELS.map(([name, label]) => (
        <Select name={name} label={label} values={choices[name].values} form={form} errors={errors} />
      ))}
      {isExactSize(form.aspect_ratio) ? <p class="hint">An exact size ignores the resolution.</p> : null}
    </div>
  );
};

const Select: FC<{
  name: keyof PlaygroundForm;
  label: string;
  values: readonly string[];
  form: PlaygroundForm;
  errors: FormErrors | undefined;
}> = ({ name, label, values, form, errors }) => (
  <div class="field">
    <label for={name}>{label}</label>
    <select
      id={name}
      name={name}
      aria-invalid={errors?.[name] ? "true" : undefined}
      aria-describedby={errors?.[name] ? `${name}-error` : undefined}
    >
      {values.map((value) => (
        <option value={value} selected={value === form[name]}>
          {isExactSize(value) ? value.replace("x", " × ") : value}
        </option>
      ))}
    </select>
    <FieldError name={name} errors={errors} />
  </div>
);

const Samples: FC<{ preview: Preview }> = ({ preview }) => (
  <section class="below-stage" aria-labelledby="samples">
    <h2 id="samples">Code</h2>
    <p class="hint">
      You need an <a href="/account/keys">API key</a> to run this.
    </p>
    <div class="samples">
      <details name="samples" open>
        <summary>curl</summary>
        <Code label="Request with curl" text={preview.curl} id="sample-curl" />
      </details>
      <details name="samples">
        <summary>JavaScript</summary>
        <Code label="Request in JavaScript" text={preview.javascript} id="sample-javascript" />
      </details>
      <details name="samples">
        <summary>Python</summary>
        <Code label="Request in Python" text={preview.python} id="sample-python" />
      </details>
    </div>
  </section>
);
