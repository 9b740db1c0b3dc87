import { Hono } from "hono";
import type { FC } from "hono/jsx";
import { isEnded, isLive } from "../../account/lifecycle.ts";
import { type GenerationDetail, type GenerationRecord, LOGGED_PROMPT_MAX } from "../../account/views.ts";
import { type Config, readConfig } from "../../config.ts";
import { cancelGeneration } from "../../generations/cancel.ts";
import { deleteGeneration } from "../../generations/delete.ts";
import { findGeneration } from "../../generations/read.ts";
import { EVENT_STREAM_HEADERS, generationEvents } from "../../http/events.ts";
import { isGenerationId } from "../../id.ts";
import type { StoredImage } from "../../images/stored.ts";
import { PageError, type PagesEnv, siteOrigin } from "../env.ts";
import { excerptOf, imageFileName } from "../format.ts";
import { AccountPage } from "../layout.tsx";
import { imageSource, renditionSource, Status, Time } from "../parts.tsx";
import type { Texts } from "../texts/english.tsx";
import { useTexts } from "../texts/language.ts";
import { wantsJson } from "./guard.ts";
import { history } from "./history.tsx";
import { Deliveries, readDeliveries } from "./webhooks.tsx";

export const generations = new Hono<PagesEnv>();

const REFRESH_SECONDS = 2;
/** How much of a prompt is the heading and the title of the page, in characters. The rest is one click away. */
const HEADING_MAX = 160;
const TITLE_MAX = 60;
const ALT_MAX = 120;

generations.route("/", history);

generations.get("/:id", async (c) => {
  const signedIn = c.get("signedIn");
  const generation = await findGeneration(signedIn.userId, c.req.param("id"), null, Date.now(), c.env);
  if (!generation) throw new PageError(404, c.get("texts").errors.noGeneration);
  c.set("generationId", generation.id);
  const ended = isEnded(generation);
  const config = readConfig(c.env);
  const deliveries = ended ? await readDeliveries(c.env, signedIn.userId, generation.id) : null;
  return c.html(
    <AccountPage
      title={excerptOf(generation.request.prompt, TITLE_MAX)}
      texts={c.get("texts")}
      at="/account/generations"
      signedIn={signedIn}
      scripts={ended ? ["copy.js"] : ["progress.js", "copy.js"]}
      refresh={ended ? undefined : REFRESH_SECONDS}
    >
      <Detail generation={generation} config={config} origin={siteOrigin(c)} />
      {deliveries === null ? null : <Deliveries generationId={generation.id} deliveries={deliveries} />}
    </AccountPage>,
  );
});

/** Sends the webhook again. */
generations.post("/:id/deliveries", async (c) => {
  const id = c.req.param("id");
  const sent = isGenerationId(id)
    ? await c.env.ACCOUNT.getByName(c.get("signedIn").userId).resendWebhook(id)
    : null;
  if (sent === null) throw new PageError(404, c.get("texts").webhooks.notSent);
  return c.redirect(`/account/generations/${id}#deliveries`, 303);
});

generations.get("/:id/deliveries", (c) => c.redirect(`/account/generations/${c.req.param("id")}`, 303));

generations.post("/:id/cancel", async (c) => {
  const { userId } = c.get("signedIn");
  const outcome = await cancelGeneration(userId, c.req.param("id"), null, c.env, readConfig(c.env));
  if (outcome.kind === "unknown") throw new PageError(404, c.get("texts").errors.noGeneration);
  c.set("generationId", outcome.generation.id);
  if (wantsJson(c.req.header("Accept")))
    return c.json(stateOf(outcome.generation, readConfig(c.env), c.get("texts")));
  // If it could not be canceled, its page shows why: it runs, or it has ended.
  return c.redirect(`/account/generations/${outcome.generation.id}`, 303);
});

generations.post("/:id/delete", async (c) => {
  const { userId } = c.get("signedIn");
  const id = c.req.param("id");
  switch (await deleteGeneration(userId, id, null, c.env)) {
    case "unknown":
      throw new PageError(404, c.get("texts").errors.noGeneration);
    case "unfinished":
      // Its page shows that it has not ended.
      return c.redirect(`/account/generations/${id}`, 303);
    case "pending":
    case "deleted":
      c.set("generationId", id);
      return c.redirect("/account/generations", 303);
  }
});

generations.get("/:id/delete", (c) => c.redirect(`/account/generations/${c.req.param("id")}`, 303));

/** Followed by the scripts until the generation ends. */
generations.get("/:id/events", async (c) => {
  const { userId } = c.get("signedIn");
  const generation = await findGeneration(userId, c.req.param("id"), null, Date.now(), c.env);
  if (!generation) throw new PageError(404, c.get("texts").errors.noGeneration);
  c.set("generationId", generation.id);
  const config = readConfig(c.env);
  const stream = generationEvents(generation, userId, c.env, (record) =>
    stateOf(record, config, c.get("texts")),
  );
  return c.body(stream, 200, EVENT_STREAM_HEADERS);
});

/** Polled by the scripts while the stream of events is broken. */
generations.get("/:id/state", async (c) => {
  const { userId } = c.get("signedIn");
  const generation = await findGeneration(userId, c.req.param("id"), null, Date.now(), c.env);
  if (!generation) throw new PageError(404, c.get("texts").errors.noGeneration);
  return c.json(stateOf(generation, readConfig(c.env), c.get("texts")));
});

/**
 * What the scripts show. `message` is set where there are no images. `images` is for scripts of the release before, which
 * may still run in an open page.
 */
function stateOf(generation: GenerationRecord, config: Config, texts: Texts) {
  return {
    status: generation.status,
    ended: isEnded(generation),
    message: messageOf(generation, texts),
    images: generation.images.map(({ key, width, height }) => ({
      url: imageSource(config, key),
      width,
      height,
    })),
  };
}

function messageOf({ status, error }: GenerationRecord, texts: Texts): string | null {
  if (status === "canceled") return texts.generation.canceled;
  return error === null ? null : texts.failures[error];
}

type DetailProps = { generation: GenerationDetail; config: Config; origin: string };

const Detail: FC<DetailProps> = ({ generation, config, origin }) => {
  const { status, error } = generation;
  const { parts, failures } = useTexts();
  return (
    <>
      <p class="more">
        <a href="/account/generations">{parts.allImages}</a>
      </p>
      <PromptHeading prompt={generation.request.prompt} />
      {isEnded(generation) ? null : <Progress generation={generation} />}
      {status === "queued" ? <CancelForm id={generation.id} /> : null}
      {error === null ? null : (
        <div class="notice bad">
          <p>{failures[error]}</p>
        </div>
      )}
      <div class="detail">
        <Pictures generation={generation} config={config} origin={origin} />
        <div class="aside">
          <Options generation={generation} />
          <Receipt generation={generation} />
          {isEnded(generation) ? <DeleteForm id={generation.id} /> : null}
        </div>
      </div>
    </>
  );
};

/** The prompt, of which a long one is folded, so that the images are near the top of the page. */
const PromptHeading: FC<{ prompt: string }> = ({ prompt }) => {
  const { generation } = useTexts();
  const heading = excerptOf(prompt, HEADING_MAX);
  return (
    <>
      <h1 class="prompt-title">{heading}</h1>
      {heading === prompt ? null : (
        <details class="whole">
          <summary>{generation.wholePrompt}</summary>
          <p>{prompt}</p>
          {[...prompt].length < LOGGED_PROMPT_MAX ? null : (
            <p class="hint">{generation.promptKept(LOGGED_PROMPT_MAX)}</p>
          )}
        </details>
      )}
    </>
  );
};

const Progress: FC<{ generation: GenerationDetail }> = ({ generation: { id, status, createdAt } }) => {
  const { generation } = useTexts();
  return (
    <div class="progress" data-progress={`/account/generations/${id}/state`} data-began={createdAt}>
      <p role="status">
        <Status status={status} /> <span data-seconds aria-hidden="true" />
      </p>
      <div class="track" aria-hidden="true">
        <span />
      </div>
      <p data-reload hidden>
        {generation.lostTrack} <a href={`/account/generations/${id}`}>{generation.reload}</a>
      </p>
    </div>
  );
};

/** The images with what can be done with each. The playground shows this part of the page, too. */
const Pictures: FC<DetailProps> = ({ generation, config, origin }) => {
  const { id, images, request, status } = generation;
  const texts = useTexts().generation;
  return (
    <div class="pictures-large" id="pictures">
      {images.map((image, at) => (
        <Picture generation={generation} image={image} at={at} config={config} origin={origin} />
      ))}
      {images.length > 0 ? null : <Placeholder size={request.size} status={status} />}
      <p class="links">
        <button class="link" type="button" data-copy data-copy-text={request.prompt}>
          {texts.copyPrompt}
        </button>
        <a href={`/account/playground?from=${id}`}>{texts.usePrompt}</a>
      </p>
    </div>
  );
};

const Picture: FC<DetailProps & { image: StoredImage; at: number }> = ({
  generation: { id, request },
  image,
  at,
  config,
  origin,
}) => {
  const source = imageSource(config, image.key);
  const key = encodeURIComponent(image.key);
  const { format, generation: texts } = useTexts();
  const number = <span class="unseen">{texts.image(at + 1)}</span>;
  return (
    <figure>
      <a href={source}>
        <img
          src={renditionSource(image.key, 1280)}
          srcset={`${renditionSource(image.key, 640)} 640w, ${renditionSource(image.key, 1280)} 1280w`}
          sizes="(min-width: 48rem) 42rem, 100vw"
          alt={`${at + 1}: ${request.prompt.slice(0, ALT_MAX)}`}
          width={image.width}
          height={image.height}
          decoding="async"
        />
      </a>
      <figcaption>
        <span>
          {image.width} × {image.height}, {format.bytes(image.bytes)}
        </span>
        <span class="links">
          <a href={`/images/${image.key}`} download={imageFileName(request.prompt, image)}>
            {texts.download}
            {number}
          </a>
          <button class="link" type="button" data-copy data-copy-text={new URL(source, origin).href}>
            {texts.copyLink}
            {number}
          </button>
          <a href={`/account/playground?reference=${key}`} data-reference={image.key}>
            {texts.asReference}
            {number}
          </a>
          <a href={`/account/playground?from=${id}&reference=${key}`}>
            {texts.vary}
            {number}
          </a>
        </span>
      </figcaption>
    </figure>
  );
};

/** A tile in the shape of the image that is not there, or not yet. */
const Placeholder: FC<{ size: GenerationDetail["request"]["size"]; status: GenerationRecord["status"] }> = ({
  size,
  status,
}) => {
  const { width, height } = size === "auto" ? { width: 1024, height: 1024 } : size;
  return (
    <div class="placeholder">
      <svg viewBox={`0 0 ${width} ${height}`} aria-hidden="true" />
      <Status status={status} />
    </div>
  );
};

const CancelForm: FC<{ id: string }> = ({ id }) => (
  <form method="post" action={`/account/generations/${id}/cancel`} data-cancel>
    <button class="button quiet" type="submit">
      {useTexts().generation.cancel}
    </button>
  </form>
);

/** Folded, so that one click deletes nothing. */
const DeleteForm: FC<{ id: string }> = ({ id }) => {
  const texts = useTexts().generation;
  return (
    <details class="panel">
      <summary>{texts.delete}</summary>
      <form method="post" action={`/account/generations/${id}/delete`}>
        <p>{texts.deleteHint}</p>
        <button class="button danger" type="submit">
          {texts.deleteButton}
        </button>
      </form>
    </details>
  );
};

const Options: FC<{ generation: GenerationDetail }> = ({ generation }) => {
  const { request, model, status, id, createdAt, aspectRatio, tier, images } = generation;
  const { size, renderQuality, n, outputFormat, references } = request;
  // What the provider chose, where it was asked to choose.
  const { width, height } = size === "auto" ? (images[0] ?? {}) : size;
  const { parts, generation: texts } = useTexts();
  return (
    <section class="panel" aria-labelledby="options">
      <h2 id="options">{texts.settings}</h2>
      <dl class="facts-list tight">
        <Fact name={texts.status}>
          <Status status={status} />
        </Fact>
        {isLive(generation) ? null : <Fact name={texts.mode}>{parts.test}</Fact>}
        <Fact name={texts.model}>{model}</Fact>
        <Fact name={texts.size}>
          {width === undefined ? texts.automatic : `${width} × ${height}`}
          {width !== undefined && size === "auto" ? ` ${texts.chosen}` : null}
        </Fact>
        {aspectRatio === "auto" ? null : <Fact name={texts.aspectRatio}>{aspectRatio}</Fact>}
        <Fact name={texts.resolution}>{tier}</Fact>
        <Fact name={texts.quality}>{renderQuality}</Fact>
        <Fact name={texts.images}>{String(n)}</Fact>
        <Fact name={texts.format}>{outputFormat}</Fact>
        {references > 0 ? <Fact name={texts.references}>{String(references)}</Fact> : null}
        <Fact name={texts.created}>
          <Time at={createdAt} />
        </Fact>
        <Fact name={texts.id}>
          <code>{id}</code>
        </Fact>
      </dl>
    </section>
  );
};

const Receipt: FC<{ generation: GenerationDetail }> = ({ generation }) => {
  const { creditsCharged, creditsRefunded, endedAt } = generation;
  const { credits, generation: texts } = useTexts();
  return (
    <section class="panel" aria-labelledby="receipt">
      <h2 id="receipt">{texts.receipt}</h2>
      <dl class="facts-list tight">
        <Fact name={texts.charged}>{credits(creditsCharged)}</Fact>
        {creditsRefunded > 0 ? <Fact name={texts.refunded}>{credits(creditsRefunded)}</Fact> : null}
        <Fact name={endedAt === null ? texts.reserved : texts.paid}>
          <strong>{credits(creditsCharged - creditsRefunded)}</strong>
        </Fact>
        {endedAt === null ? null : (
          <Fact name={texts.ended}>
            <Time at={endedAt} />
          </Fact>
        )}
      </dl>
    </section>
  );
};

const Fact: FC<{ name: string; children?: unknown }> = ({ name, children }) => (
  <div>
    <dt>{name}</dt>
    <dd>{children}</dd>
  </div>
);
