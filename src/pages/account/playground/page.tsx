import type { FC } from "hono/jsx";
import type { GenerationDetail } from "../../../account/views.ts";
import type { SignedIn } from "../../../auth/sessions.ts";
import type { Model } from "../../../catalogue/model.ts";
import type { Config } from "../../../config.ts";
import type { FormErrors } from "../../forms.ts";
import { AccountPage } from "../../layout.tsx";
import { CodeTabs, FieldError, FormError, NoCredits, Strip } from "../../parts.tsx";
import type { Texts } from "../../texts/english.tsx";
import { useTexts } from "../../texts/language.ts";
import { type Choices, choicesOf, isExactSize, type PlaygroundForm } from "./form.ts";
import { type Preview, previewOf } from "./preview.ts";

type PlaygroundProps = {
  signedIn: SignedIn;
  texts: Texts;
  /** The models of this deployment. */
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
  const { signedIn, texts, form, credits, origin, notes = [] } = props;
  const { frame, parts } = texts;
  const preview = previewOf(form, origin, texts);
  return (
    <AccountPage
      title={frame.playground}
      texts={texts}
      at="/account/playground"
      signedIn={signedIn}
      scripts={["playground.js", "copy.js", "tabs.js", "live.js"]}
    >
      <div class="title-row">
        <h1>{frame.playground}</h1>
        <p class="hint" data-balance>
          {parts.left(texts.credits(credits))}
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
          <h2 id="recent">{parts.recentImages}</h2>
          <a href="/account/generations">{parts.allImages}</a>
        </div>
        <Strip generations={props.recent} />
      </section>
      {"error" in preview ? null : <Samples preview={preview} />}
    </AccountPage>
  );
};

const PromptForm: FC<PlaygroundProps & { preview: ReturnType<typeof previewOf> }> = ({
  signedIn,
  texts: { playground, paths, ...texts },
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
      <label for="prompt">{playground.prompt}</label>
      <textarea
        id="prompt"
        name="prompt"
        rows={5}
        placeholder={playground.forExample(playground.examplePrompt)}
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
      {playground.youHave(<span data-credits>{texts.credits(credits)}</span>)}{" "}
      <a href="/account/credits">{playground.getCredits}</a>
    </p>
    <noscript>
      <p class="price">
        {playground.priceDepends(<a href={`${paths.guide}#models`}>{playground.seePrices}</a>)}
      </p>
    </noscript>
    <p class="submit">
      <button class="button" type="submit" aria-keyshortcuts="Control+Enter Meta+Enter">
        {playground.generate}
      </button>
      <kbd class="hint needs-scripts">Ctrl+Enter</kbd>
    </p>
  </form>
);

/** The script uploads the files, and lists their ids in the form. */
const References: FC<{ form: PlaygroundForm; errors: FormErrors | undefined }> = ({ form, errors }) => {
  const { playground } = useTexts();
  return (
    <div class="field references needs-scripts" id="references" data-references>
      <label for="reference-files">{playground.references}</label>
      <p class="hint" id="references-hint">
        {playground.referencesHint}
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
};

const Stage: FC<{ running: string | undefined }> = ({ running }) => {
  const { playground } = useTexts();
  return (
    <section
      class="stage"
      aria-label={playground.result}
      aria-live="polite"
      data-stage
      data-running={running && `/account/generations/${running}`}
    >
      {running ? (
        <p>
          {playground.running} <a href={`/account/generations/${running}`}>{playground.openGeneration}</a>
        </p>
      ) : (
        <p class="hint">{playground.appearsHere}</p>
      )}
    </section>
  );
};

const OPTIONS = [
  ...["aspect_ratio", "resolution", "quality", "n"],
  ...["output_format", "output_compression", "background", "moderation"],
] as const satisfies readonly (keyof Choices)[];

type OptionsProps = {
  models: readonly Model[];
  config: Config;
  form: PlaygroundForm;
  errors: FormErrors | undefined;
};

/**
 * The model, and its own options; those with one value are hidden. The script replaces the options when another model
 * is chosen.
 */
const Options: FC<OptionsProps> = ({ models, config, form, errors }) => {
  const { labels, exactSize } = useTexts().playground;
  const model = models.find(({ id }) => id === form.model) ?? models[0];
  if (!model) return null;
  const choices = choicesOf(model, form, config);
  const ids = models.map(({ id }) => id);
  return (
    <div class="choices">
      {ids.length > 1 ? (
        <Select name="model" label={labels.model} values={ids} form={form} errors={errors} />
      ) : (
        <input type="hidden" name="model" value={model.id} />
      )}
      {OPTIONS.map((name) => (
        <Select name={name} label={labels[name]} values={choices[name].values} form={form} errors={errors} />
      ))}
      {isExactSize(form.aspect_ratio) ? <p class="hint">{exactSize}</p> : null}
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

const Samples: FC<{ preview: Preview }> = ({ preview }) => {
  const { playground } = useTexts();
  return (
    <section class="below-stage" aria-labelledby="samples">
      <h2 id="samples">{playground.code}</h2>
      <p class="hint">{playground.codeHint(<a href="/account/keys">{playground.apiKey}</a>)}</p>
      <CodeTabs
        id="sample"
        legend={playground.language}
        label={playground.request}
        samples={LANGUAGES.map((language) => [language, preview[language]] as const)}
      />
    </section>
  );
};
