import { Hono } from "hono";
import type { FC } from "hono/jsx";
import { type GenerationDetail, LOGGED_PROMPT_MAX } from "../../account/views.ts";
import type { SignedIn } from "../../auth/sessions.ts";
import { findModel, type Model, models } from "../../catalogue/models.ts";
import { resolveShape } from "../../catalogue/resolve.ts";
import { formatSize } from "../../catalogue/sizes.ts";
import { readConfig } from "../../config.ts";
import { GenerationInput } from "../../generations/input.ts";
import { findGeneration } from "../../generations/read.ts";
import { type Submission, submit } from "../../generations/submit.ts";
import { sha256Hex } from "../../hash.ts";
import { newId } from "../../id.ts";
import { type PagesEnv, siteOrigin } from "../env.ts";
import { counted, formatCredits, formatNumber } from "../format.ts";
import { type FormErrors, readForm } from "../forms.ts";
import { AccountPage } from "../layout.tsx";
import { Code, FieldError, FormError, NoCredits } from "../parts.tsx";
import { curlSample, javascriptSample, pythonSample, type SampleBody } from "../samples.ts";
import { wantsJson } from "./guard.ts";

export const playground = new Hono<PagesEnv>();

/** What the form has, as text. */
type Wish = {
  model: string;
  prompt: string;
  aspect_ratio: string;
  resolution: string;
  quality: string;
  n: string;
};

/** The value of `aspect_ratio` that stands for a size of its own, which no ratio and resolution give. */
const EXACT_SIZE = /^\d{1,5}x\d{1,5}$/;
/** One for each rendered form. It makes a form that is sent twice one purchase. */
const ATTEMPT = /^[\w-]{16,64}$/;
/** Stands for the prompt in the examples that the script fills in. */
const PROMPT_PLACEHOLDER = "__PROMPT__";

const FIRST_PROMPT = "a lighthouse at dusk";

playground.get("/", async (c) => {
  const signedIn = c.get("signedIn");
  const from = c.req.query("from");
  const [standing, earlier] = await Promise.all([
    standingOf(c.env, signedIn.userId),
    from === undefined ? null : findGeneration(signedIn.userId, from, Date.now(), c.env),
  ]);
  const page = { signedIn, ...standing, origin: siteOrigin(c), filled: earlier !== null };
  const wish = earlier ? wishOf(earlier) : readWish(new Map());
  return c.html(<PlaygroundPage {...page} wish={wish} notes={earlier ? notCarriedOver(earlier) : []} />);
});

/** What the page shows of the account: its credits, and the newest generation that has not ended. */
async function standingOf({ ACCOUNT }: Env, userId: string) {
  const account = ACCOUNT.getByName(userId);
  const [{ credits }, [running]] = await Promise.all([account.balance(), account.unfinished()]);
  return { credits, running: running?.id };
}

/** The form that asks for the same as an earlier generation: its very size where no ratio and resolution give it. */
function wishOf({ model, aspectRatio, tier, request }: GenerationDetail): Wish {
  const { prompt, size, renderQuality, n } = request;
  const shape = { aspect_ratio: aspectRatio, resolution: tier, quality: renderQuality, n };
  const found = findModel(model);
  const offered = found?.supported_aspect_ratios.some((name) => name === aspectRatio);
  const named = found && offered ? resolveShape(found, shape) : null;
  const exact = size === "auto" ? "auto" : formatSize(size);
  const isNamed = named?.kind === "shape" && named.size !== "auto" && formatSize(named.size) === exact;
  return {
    model,
    prompt,
    aspect_ratio: isNamed ? aspectRatio : exact,
    resolution: tier,
    quality: renderQuality,
    n: String(n),
  };
}

/** What an earlier generation had that the form does not ask for again. */
function notCarriedOver({ request: { references, outputFormat, prompt } }: GenerationDetail): string[] {
  return [
    ...(references > 0
      ? [
          `The earlier generation used ${counted(references, "reference image")}. References are not kept, and this form cannot send them: the result will differ.`,
        ]
      : []),
    ...(outputFormat === "png" ? [] : [`The earlier images were ${outputFormat}. This form makes PNG.`]),
    ...([...prompt].length >= LOGGED_PROMPT_MAX
      ? [
          `Only the first ${formatNumber(LOGGED_PROMPT_MAX)} characters of a prompt are kept. Check that yours is complete.`,
        ]
      : []),
  ];
}

playground.post("/", async (c) => {
  const signedIn = c.get("signedIn");
  const json = wantsJson(c.req.header("Accept"));
  const form = await readForm(c);
  const wish = readWish(form);
  const sent = form.get("attempt") ?? "";
  const attempt = ATTEMPT.test(sent) ? sent : undefined;
  const again = async (errors: FormErrors, status: 402 | 422 | 429 | 503) => {
    if (json) return c.json({ errors }, status);
    const standing = await standingOf(c.env, signedIn.userId);
    const page = { signedIn, ...standing, origin: siteOrigin(c), filled: true };
    return c.html(<PlaygroundPage {...page} wish={wish} errors={errors} attempt={attempt} />, status);
  };
  const input = readInput(wish);
  if ("errors" in input) return await again(input.errors, 422);
  const submission: Submission = {
    ...{ id: newId("gen"), input, mode: "async", idempotencyKey: await idempotencyKeyOf(attempt, wish) },
    ...{ userId: signedIn.userId, keyId: null, sdk: null, origin: siteOrigin(c) },
    ...{ references: [], referenceField: "reference_image", uploadId: null },
  };
  const outcome = await submit(submission, c.env, readConfig(c.env));
  switch (outcome.kind) {
    case "invalid":
      return await again(
        { [outcome.param === "size" ? "aspect_ratio" : outcome.param]: outcome.message },
        422,
      );
    case "insufficient": {
      const { required, available } = outcome;
      const message = `This takes ${formatCredits(required)}, and you have ${formatCredits(available)}.`;
      return await again({ form: message }, 402);
    }
    case "busy":
    case "unavailable":
      return await again(
        { form: "No picture can be made right now, and nothing was charged. Please try again." },
        503,
      );
    case "limited": {
      const seconds = outcome.retryAfterSeconds;
      const message = `That is as many pictures as can be made for now. Please try again in ${seconds} s.`;
      return await again({ form: message }, 429);
    }
    case "mismatch":
      return await again({ form: "This form was already sent with other values. Reload the page." }, 422);
    case "unknown":
      // It may have been charged: with the same key it can be sent again, and is charged once.
      return await again(
        { form: "No answer came from your account. Send the form again: it is charged once." },
        503,
      );
    case "pending":
    case "ended": {
      const { generation } = outcome;
      c.set("generationId", generation.id);
      const page = `/account/generations/${generation.id}`;
      return json ? c.json({ page, state: `${page}/state` }, 202) : c.redirect(page, 303);
    }
  }
});

/**
 * What the form's options cost, and the same request for a program, with a placeholder where the script puts the
 * prompt: prompts have no place in an address, which proxies and logs keep.
 */
playground.get("/preview", (c) => {
  const wish = { ...readWish(new Map(Object.entries(c.req.query()))), prompt: PROMPT_PLACEHOLDER };
  const preview = previewOf(wish, siteOrigin(c));
  if ("error" in preview) return c.json(preview, 422);
  return c.json({ ...preview, placeholder: PROMPT_PLACEHOLDER, example: FIRST_PROMPT });
});

/**
 * The idempotency key of a sent form, or null for a form without an attempt. It holds the fields too, so that a form
 * that was changed and sent again is another purchase. API callers' keys have no spaces, so none can equal it.
 */
async function idempotencyKeyOf(attempt: string | undefined, wish: Wish): Promise<string | null> {
  if (attempt === undefined) return null;
  return `playground ${attempt} ${await sha256Hex(JSON.stringify(Object.entries(wish)))}`;
}

function readWish(fields: ReadonlyMap<string, string>): Wish {
  return {
    model: fields.get("model") ?? models[0]?.id ?? "",
    prompt: fields.get("prompt") ?? "",
    aspect_ratio: fields.get("aspect_ratio") ?? "auto",
    resolution: fields.get("resolution") ?? models[0]?.default_quality ?? "",
    quality: fields.get("quality") ?? "auto",
    n: fields.get("n") ?? "1",
  };
}

/** The form's fields as the API's, or what is wrong with them. The same rules apply to both. */
function readInput(wish: Wish): GenerationInput | { errors: FormErrors } {
  if (wish.prompt.trim() === "") return { errors: { prompt: "Describe the picture." } };
  const fields = { model: wish.model, prompt: wish.prompt, ...shapeFields(wish) };
  const result = GenerationInput.safeParse(fields);
  if (result.success) return result.data;
  return {
    errors: Object.fromEntries(result.error.issues.map(({ path, message }) => [path.join("."), message])),
  };
}

/** One choice of the form stands for a ratio and resolution, or for an exact size. */
function shapeFields({ aspect_ratio, resolution, quality, n }: Wish) {
  const rest = { quality, n: /^\d{1,3}$/.test(n) ? Number(n) : 0 };
  return EXACT_SIZE.test(aspect_ratio)
    ? { ...rest, size: aspect_ratio }
    : { ...rest, aspect_ratio, resolution };
}

type Preview = { price: string; credits: number; curl: string; javascript: string; python: string };

function previewOf(wish: Wish, origin: string): Preview | { error: string } {
  const model = findModel(wish.model);
  if (!model) return { error: "There is no such model." };
  const shape = resolveShape(model, shapeFields(wish));
  if (shape.kind === "invalid") return { error: shape.message };
  const body: SampleBody = {
    model: model.id,
    prompt: wish.prompt.trim() === "" ? FIRST_PROMPT : wish.prompt,
    size: shape.size === "auto" ? "auto" : formatSize(shape.size),
    quality: shape.renderQuality,
    n: shape.n,
  };
  const size =
    shape.size === "auto"
      ? "; the provider chooses the shape"
      : ` of ${shape.size.width} × ${shape.size.height}`;
  return {
    price: `${formatCredits(shape.credits)} for ${counted(shape.n, "picture")}${size}`,
    credits: shape.credits,
    curl: curlSample(origin, body),
    javascript: javascriptSample(origin, body),
    python: pythonSample(origin, body),
  };
}

type PlaygroundProps = {
  signedIn: SignedIn;
  wish: Wish;
  credits: number;
  /** The id of a generation that has not ended. */
  running: string | undefined;
  origin: string;
  /** Whether the form was filled in here, and not only begun: then what the browser kept does not replace it. */
  filled: boolean;
  notes?: readonly string[];
  errors?: FormErrors;
  attempt?: string | undefined;
};

const PlaygroundPage: FC<PlaygroundProps> = ({
  signedIn,
  wish,
  credits,
  running,
  origin,
  filled,
  notes = [],
  errors,
  attempt = crypto.randomUUID(),
}) => {
  const preview = previewOf(wish, origin);
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
      <NoCredits credits={credits} email={signedIn.email} />
      {notes.map((note) => (
        <div class="notice">
          <p>{note}</p>
        </div>
      ))}
      <div class="playground">
        <form
          method="post"
          action="/account/playground"
          id="playground"
          data-owner={signedIn.userId}
          data-filled={filled ? "" : undefined}
          novalidate
        >
          <input type="hidden" name="attempt" value={attempt} autocomplete="off" />
          <div data-form-error>
            <FormError errors={errors} />
          </div>
          <div class="field">
            <label for="prompt">What is the picture to show?</label>
            <textarea
              id="prompt"
              name="prompt"
              rows={5}
              placeholder={`For example: ${FIRST_PROMPT}`}
              aria-invalid={errors?.["prompt"] ? "true" : undefined}
              aria-describedby={errors?.["prompt"] ? "prompt-error" : undefined}
              required
            >
              {wish.prompt}
            </textarea>
            <FieldError name="prompt" errors={errors} />
          </div>
          {models.map((model) =>
            model.id === wish.model ? <Choices model={model} wish={wish} errors={errors} /> : null,
          )}
          <p class="price" id="price" aria-live="polite">
            {"error" in preview ? preview.error : preview.price}
          </p>
          <button class="button" type="submit">
            Make the picture
          </button>
        </form>
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
            <p class="hint">The picture appears here.</p>
          )}
        </section>
      </div>
      {"error" in preview ? null : <Samples preview={preview} />}
    </AccountPage>
  );
};

const Choices: FC<{ model: Model; wish: Wish; errors: FormErrors | undefined }> = ({
  model,
  wish,
  errors,
}) => (
  <div class="choices">
    <input type="hidden" name="model" value={model.id} />
    <Choice
      name="aspect_ratio"
      label="Shape"
      values={[
        ...model.supported_aspect_ratios,
        ...(EXACT_SIZE.test(wish.aspect_ratio) ? [wish.aspect_ratio] : []),
      ]}
      at={wish}
      errors={errors}
    />
    <Choice
      name="resolution"
      label="Resolution"
      values={model.supported_qualities}
      at={wish}
      errors={errors}
    />
    <Choice
      name="quality"
      label="Quality"
      values={model.supported_render_qualities}
      at={wish}
      errors={errors}
    />
    <Choice
      name="n"
      label="Pictures"
      values={Array.from({ length: model.max_images }, (_, at) => String(at + 1))}
      at={wish}
      errors={errors}
    />
    {EXACT_SIZE.test(wish.aspect_ratio) ? (
      <p class="hint">A shape given in pixels is drawn exactly so, whatever the resolution.</p>
    ) : null}
  </div>
);

const Choice: FC<{
  name: keyof Wish;
  label: string;
  values: readonly string[];
  at: Wish;
  errors: FormErrors | undefined;
}> = ({ name, label, values, at, errors }) => (
  <div class="field">
    <label for={name}>{label}</label>
    <select
      id={name}
      name={name}
      aria-invalid={errors?.[name] ? "true" : undefined}
      aria-describedby={errors?.[name] ? `${name}-error` : undefined}
    >
      {values.map((value) => (
        <option value={value} selected={value === at[name]}>
          {EXACT_SIZE.test(value) ? value.replace("x", " × ") : value}
        </option>
      ))}
    </select>
    <FieldError name={name} errors={errors} />
  </div>
);

const Samples: FC<{ preview: Preview }> = ({ preview }) => (
  <section class="below-stage" aria-labelledby="samples">
    <h2 id="samples">The same request from a program</h2>
    <p class="hint">
      It takes an <a href="/account/keys">API key</a>.
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
