import { Hono } from "hono";
import type { FC } from "hono/jsx";
import { findModel, type Model, models } from "../../catalogue/models.ts";
import { resolveShape } from "../../catalogue/resolve.ts";
import { formatSize } from "../../catalogue/sizes.ts";
import { readConfig } from "../../config.ts";
import { findGeneration } from "../../generations/read.ts";
import { type Submission, submit } from "../../generations/submit.ts";
import { promptFault } from "../../http/v1/schemas.ts";
import { newId } from "../../id.ts";
import type { SignedIn } from "../../sessions/sessions.ts";
import { type PagesEnv, siteOrigin } from "../env.ts";
import { counted, formatCredits } from "../format.ts";
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

const FIRST_PROMPT = "a lighthouse at dusk";

playground.get("/", async (c) => {
  const signedIn = c.get("signedIn");
  const from = c.req.query("from");
  const [balance, earlier] = await Promise.all([
    c.env.ACCOUNT.getByName(signedIn.userId).balance(),
    from === undefined ? null : findGeneration(signedIn.userId, from, c.env),
  ]);
  const ratio = models[0]?.supported_aspect_ratios.find((name) => name === earlier?.aspectRatio);
  const wish = readWish(
    new Map(
      earlier
        ? Object.entries({
            prompt: earlier.request.prompt,
            aspect_ratio: ratio ?? "auto",
            resolution: earlier.tier,
            quality: earlier.request.renderQuality,
            n: String(earlier.request.n),
          })
        : [],
    ),
  );
  return c.html(
    <PlaygroundPage signedIn={signedIn} wish={wish} credits={balance.credits} origin={siteOrigin(c)} />,
  );
});

playground.post("/", async (c) => {
  const signedIn = c.get("signedIn");
  const json = wantsJson(c.req.header("Accept"));
  const wish = readWish(await readForm(c));
  const again = async (errors: FormErrors, status: 402 | 422 | 429 | 503) => {
    if (json) return c.json({ errors }, status);
    const { credits } = await c.env.ACCOUNT.getByName(signedIn.userId).balance();
    const page = { signedIn, wish, credits, errors, origin: siteOrigin(c) };
    return c.html(<PlaygroundPage {...page} />, status);
  };
  const submission = toSubmission(wish, siteOrigin(c));
  if ("errors" in submission) return await again(submission.errors, 422);
  const id = newId("gen");
  const outcome = await submit(id, signedIn.userId, submission, c.env, readConfig(c.env));
  switch (outcome.kind) {
    case "invalid":
      return await again({ [outcome.param]: outcome.message }, 422);
    case "insufficient": {
      const { required, available } = outcome;
      const message = `This takes ${formatCredits(required)}, and you have ${formatCredits(available)}.`;
      return await again({ form: message }, 402);
    }
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
      throw new Error("A request without an idempotency key cannot be at odds with one.");
    case "unknown":
    case "pending":
    case "ended": {
      c.set("generationId", id);
      const page = `/account/generations/${id}`;
      return json ? c.json({ page, state: `${page}/state` }, 202) : c.redirect(page, 303);
    }
  }
});

/** What the form as it stands would cost, and the same request for a program. */
playground.get("/preview", (c) => {
  const wish = readWish(new Map(Object.entries(c.req.query())));
  const preview = previewOf(wish, siteOrigin(c));
  return "error" in preview ? c.json(preview, 422) : c.json(preview);
});

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

/** The same submission that the API would make of it: the rules are the catalogue's and the account's. */
function toSubmission(wish: Wish, origin: string): Submission | { errors: FormErrors } {
  const model = findModel(wish.model);
  if (!model) return { errors: { model: "There is no such model." } };
  const fault = promptFault(wish.prompt);
  if (fault !== null) {
    const blank = wish.prompt.trim() === "";
    return { errors: { prompt: blank ? "Say what the picture is to show." : fault } };
  }
  return {
    ...shapeFields(wish),
    model,
    prompt: wish.prompt,
    async: true,
    outputFormat: "png",
    outputCompression: null,
    background: "auto",
    moderation: "auto",
    endUser: null,
    references: [],
    idempotencyKey: null,
    sdk: null,
    origin,
  };
}

function shapeFields({ aspect_ratio, resolution, quality, n }: Wish) {
  return { aspect_ratio, resolution, quality, n: /^\d{1,3}$/.test(n) ? Number(n) : 0 };
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
  origin: string;
  errors?: FormErrors;
};

const PlaygroundPage: FC<PlaygroundProps> = ({ signedIn, wish, credits, origin, errors }) => {
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
      <div class="playground">
        <form method="post" action="/account/playground" id="playground" novalidate>
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
        <section class="stage" aria-label="Result" aria-live="polite" data-stage>
          <p class="hint">The picture appears here.</p>
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
      values={model.supported_aspect_ratios}
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
          {value}
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
