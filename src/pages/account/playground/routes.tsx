import { Hono } from "hono";
import { isLive } from "../../../account/lifecycle.ts";
import { packsOnSale } from "../../../billing/settings.ts";
import { findModel } from "../../../catalogue/models.ts";
import { readConfig } from "../../../config.ts";
import { offeredModels } from "../../../generations/models.ts";
import { findGeneration, LogUnavailableError, listDetails } from "../../../generations/read.ts";
import { type Submission, submit } from "../../../generations/submit.ts";
import { newId } from "../../../id.ts";
import { type PagesEnv, siteOrigin } from "../../env.ts";
import { type FormErrors, readForm } from "../../forms.ts";
import { wantsJson } from "../guard.ts";
import {
  choicesOf,
  fieldOf,
  formOf,
  idempotencyKeyOf,
  notCarriedOver,
  readInput,
  readPlaygroundForm,
  refusalWords,
} from "./form.ts";
import { PlaygroundPage } from "./page.tsx";
import { previewOf } from "./preview.ts";
import { PLAYGROUND_NAMES, readReferences, references } from "./references.ts";

export const playground = new Hono<PagesEnv>();

/** The id of a rendered form. It makes a form that is sent twice one purchase. */
const ATTEMPT = /^[\w-]{16,64}$/;
/** Replaced by the prompt in the code samples, in the browser. */
const PROMPT_PLACEHOLDER = "__PROMPT__";

playground.get("/", async (c) => {
  const signedIn = c.get("signedIn");
  const from = c.req.query("from");
  const [state, earlier] = await Promise.all([
    accountState(c.env, signedIn.userId),
    from === undefined ? null : findGeneration(signedIn.userId, from, null, Date.now(), c.env),
  ]);
  const texts = c.get("texts");
  const page = { signedIn, texts, ...state, origin: siteOrigin(c), isFilled: earlier !== null };
  const form = earlier ? formOf(earlier) : readPlaygroundForm(new Map());
  return c.html(
    <PlaygroundPage {...page} form={form} notes={earlier ? notCarriedOver(earlier, texts) : []} />,
  );
});

const RECENT_SHOWN = 8;
const ALL = { status: null, model: null, createdAfter: null, createdBefore: null };

/**
 * The data of the account and the deployment on the page. `running` is the newest live generation that has not ended.
 */
async function accountState(env: Env, userId: string) {
  const account = env.ACCOUNT.getByName(userId);
  const config = readConfig(env);
  const [{ credits }, unfinished, recent] = await Promise.all([
    account.balance(),
    account.unfinished(),
    recentGenerations(env, userId),
  ]);
  return {
    ...{ credits, config, recent },
    running: unfinished.find(isLive)?.id,
    models: offeredModels(config),
    sells: packsOnSale(config).length > 0,
  };
}

/** None while the log does not respond: the playground works without it. */
async function recentGenerations(env: Env, userId: string) {
  try {
    return (await listDetails(userId, ALL, null, RECENT_SHOWN, env)).generations;
  } catch (error) {
    if (error instanceof LogUnavailableError) return [];
    throw error;
  }
}

playground.post("/", async (c) => {
  const signedIn = c.get("signedIn");
  const texts = c.get("texts");
  const { playground } = texts;
  const json = wantsJson(c.req.header("Accept"));
  const fields = await readForm(c);
  const form = readPlaygroundForm(fields);
  const sent = fields.get("attempt") ?? "";
  const attempt = ATTEMPT.test(sent) ? sent : undefined;
  const again = async (errors: FormErrors, status: 402 | 422 | 429 | 503) => {
    if (json) return c.json({ errors }, status);
    const state = await accountState(c.env, signedIn.userId);
    const page = { signedIn, texts, ...state, origin: siteOrigin(c), isFilled: true };
    return c.html(<PlaygroundPage {...page} form={form} errors={errors} attempt={attempt} />, status);
  };
  const input = readInput(form, texts);
  if ("errors" in input) return await again(input.errors, 422);
  const submission: Submission = {
    ...{ id: newId("gen"), input, mode: "async", idempotencyKey: await idempotencyKeyOf(attempt, form) },
    ...{ userId: signedIn.userId, key: null, sdk: null, origin: siteOrigin(c) },
    ...{ references: readReferences(form.references), names: PLAYGROUND_NAMES, uploadId: null, test: null },
  };
  const outcome = await submit(submission, c.env, readConfig(c.env));
  switch (outcome.kind) {
    case "invalid":
      return await again(
        { [fieldOf(outcome.param)]: refusalWords(outcome.param, outcome.message, texts) },
        422,
      );
    case "insufficient": {
      const { required, available } = outcome;
      return await again({ form: playground.notEnough(required, available) }, 402);
    }
    // The pages pay without a key.
    case "forbidden":
    case "key_limited":
    case "busy":
    case "unavailable":
      return await again({ form: playground.unavailable }, 503);
    case "limited":
    case "uploads_limited":
      return await again({ form: playground.rateLimited(outcome.retryAfterSeconds) }, 429);
    case "mismatch":
      return await again({ form: playground.alreadySent }, 422);
    case "deleted":
      return await again({ form: playground.wasDeleted }, 422);
    case "unknown":
      // The account may have charged it. Sending the form again uses the same key, so it is charged once.
      return await again({ form: playground.unknown }, 503);
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
 * The price of the form's options beside the balance, what its model offers, and the code samples with a placeholder
 * where the script inserts the prompt. A prompt must not be in a URL, which proxies and logs store.
 */
playground.get("/preview", async (c) => {
  const form = { ...readPlaygroundForm(new Map(Object.entries(c.req.query()))), prompt: PROMPT_PLACEHOLDER };
  const texts = c.get("texts");
  const preview = previewOf(form, siteOrigin(c), texts);
  const model = findModel(form.model);
  const { credits: balance } = await c.env.ACCOUNT.getByName(c.get("signedIn").userId).balance();
  const known = {
    ...{ balance, choices: model && choicesOf(model, form, readConfig(c.env)) },
    references_max: model?.reference_image_limit,
  };
  if ("error" in preview) return c.json({ ...preview, ...known }, 422);
  return c.json({
    ...preview,
    ...known,
    placeholder: PROMPT_PLACEHOLDER,
    example: texts.playground.examplePrompt,
  });
});

playground.route("/references", references);
