import type { FC } from "hono/jsx";
import type { GenerationDetail } from "../../../account/views.ts";
import type { SignedIn } from "../../../auth/sessions.ts";
import type { Model } from "../../../catalogue/model.ts";
import type { Config } from "../../../config.ts";
import { formatCredits } from "../../format.ts";
import type { FormErrors } from "../../forms.ts";
import { AccountPage } from "../../layout.tsx";
import { CodeTabs, FieldError, FormError, NoCredits, Strip } from "../../parts.tsx";
import { type Choices, choicesOf, isExactSize, type PlaygroundForm } from "./form.ts";
import { EXAMPLE_PROMPT, type Preview, previewOf } from "./preview.ts";

type PlaygroundProps = {
  signedIn: SignedIn;
  /** Those of this deployment. */
  models: readonly Model[];
  form: PlaygroundForm;
  credits: number;
  /** Whether this site sells credits. */
  sells: boolean;
  config: Config;
  recent: readonly GenerationDetail[];
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
      scripts={["playground.js", "copy.js", "tabs.js", "live.js"]}
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
        <PromptForm {...props} preview={preview} />
        <Stage running={props.running} />
      </div>
      <section class="below-stage" aria-labelledby="recent">
        <div class="title-row">
          <h2 id="recent">Recent images</h2>
          <a href="/account/generations">All images</a>
        </div>
        <Strip generations={props.recent} />
      </section>
      {"error" in preview ? null : <Samples preview={preview} />}
    </AccountPage>
  );
};

const PromptForm: FC<PlaygroundProps & { preview: ReturnType<typeof previewOf> }> = ({
  signedIn,
  models,
  config,
  form,
  isFilled,
  errors,
  attempt = crypto.randomUUID(),
  preview,
  credits,
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
    <References form={form} errors={errors} />
    <Options models={models} config={config} form={form} errors={errors} />
    <p class="price needs-scripts" id="price" aria-live="polite">
      {"error" in preview ? preview.error : preview.price}
    </p>
    <p class="error needs-scripts" id="short" hidden={"error" in preview || preview.credits <= credits}>
      You have <span data-credits>{formatCredits(credits)}</span>. <a href="/account/credits">Get credits</a>
    </p>
    <noscript>
      <p class="price">
        The price depends on the model, the resolution and the number of images:{" "}
        <a href="/docs#models">see the prices</a>.
      </p>
    </noscript>
    <p class="submit">
      <button class="button" type="submit" aria-keyshortcuts="Control+Enter Meta+Enter">
        Generate
      </button>
      <kbd class="hint needs-scripts">Ctrl+Enter</kbd>
    </p>
  </form>
);

/** The script uploads the files, and lists their ids in the form. */
const References: FC<{ form: PlaygroundForm; errors: FormErrors | undefined }> = ({ form, errors }) => (
  <div class="field references needs-scripts" id="references" data-references>
    <label for="reference-files">Reference images</label>
    <p class="hint" id="references-hint">
      Choose files, or drop or paste them here.
    </p>
    <ul class="chips" data-chips />
    <input
      id="reference-files"
      type="file"
      accept="image/png,image/jpeg,image/webp"
      aria-describedby="references-hint"
      multiple
    />
    <input type="hidden" name="references" value={form.references} autocomplete="off" />
    <p class="error" data-reference-error role="alert">
      {errors?.["references"]}
    </p>
  </div>
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
  ["output_format", "Format"],
  ["output_compression", "Compression quality"],
  ["background", "Background"],
  ["moderation", "Moderation"],
] as const satisfies readonly (readonly [keyof Choices, string])[];

type OptionsProps = {
  models: readonly Model[];
  config: Config;
  form: PlaygroundForm;
  errors: FormErrors | undefined;
};

/**
 * The model, and its own options; those with one value are hidden. The script replaces the options when another model is
 * chosen.
 */
const Options: FC<OptionsProps> = ({ models, config, form, errors }) => {
  const model = models.find(({ id }) => id === form.model) ?? models[0];
  if (!model) return null;
  const choices = choicesOf(model, form, config);
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
  <div class="field" hidden={values.length < 2 && !errors?.[name]}>
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

const LANGUAGES = ["curl", "javascript", "python", "openai"] as const;

const Samples: FC<{ preview: Preview }> = ({ preview }) => (
  <section class="below-stage" aria-labelledby="samples">
    <h2 id="samples">Code</h2>
    <p class="hint">
      Set <code>GIH_KEY</code> to an <a href="/account/keys">API key</a> to run this. The last one needs{" "}
      <code>pip install openai</code>.
    </p>
    <CodeTabs
      id="sample"
      legend="Language"
      label="Request"
      samples={LANGUAGES.map((language) => [language, preview[language]] as const)}
    />
  </section>
);
