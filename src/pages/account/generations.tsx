import { Hono } from "hono";
import type { FC } from "hono/jsx";
import { isEnded, isLive } from "../../account/lifecycle.ts";
import { FAILURE_MESSAGES } from "../../account/render.ts";
import type { GenerationDetail, GenerationRecord } from "../../account/views.ts";
import { type Config, readConfig } from "../../config.ts";
import { cancelGeneration } from "../../generations/cancel.ts";
import { findGeneration, listDetails } from "../../generations/read.ts";
import { EVENT_STREAM_HEADERS, generationEvents } from "../../http/events.ts";
import { isGenerationId } from "../../id.ts";
import { PageError, type PagesEnv } from "../env.ts";
import { formatBytes, formatCredits } from "../format.ts";
import { AccountPage } from "../layout.tsx";
import { Empty, Gallery, imageSource, Status, Time } from "../parts.tsx";
import { wantsJson } from "./guard.ts";
import { Deliveries, readDeliveries } from "./webhooks.tsx";

export const generations = new Hono<PagesEnv>();

const TILES_SHOWN = 24;
const REFRESH_SECONDS = 2;

type Filter = {
  livemode: boolean;
  status: GenerationRecord["status"] | null;
  words: string;
  /** Of the link. */
  query: Readonly<Record<string, string>>;
};

const ALL: Filter = { livemode: true, status: null, words: "All", query: {} };
const FILTERS: readonly Filter[] = [
  ALL,
  { ...ALL, status: "succeeded", words: "Ready", query: { status: "succeeded" } },
  { ...ALL, status: "failed", words: "Failed", query: { status: "failed" } },
  { ...ALL, status: "canceled", words: "Canceled", query: { status: "canceled" } },
  { ...ALL, livemode: false, words: "Test", query: { mode: "test" } },
];

function hrefOf(query: Filter["query"]): string {
  const text = new URLSearchParams(query).toString();
  return text === "" ? "/account/generations" : `/account/generations?${text}`;
}

generations.get("/", async (c) => {
  const signedIn = c.get("signedIn");
  const isTest = c.req.query("mode") === "test";
  const filter =
    FILTERS.find(({ livemode, status }) =>
      isTest ? !livemode : livemode && status === (c.req.query("status") ?? null),
    ) ?? ALL;
  const { livemode, status, query } = filter;
  const asked = c.req.query("before") ?? "";
  const before = isGenerationId(asked) ? asked : null;
  const wanted = { livemode, status, model: null, createdAfter: null, createdBefore: null };
  const page = await listDetails(signedIn.userId, wanted, before, TILES_SHOWN, c.env);
  const shown = page.generations;
  const older = { ...query, before: shown.at(-1)?.id ?? "" };
  return c.html(
    <AccountPage title="Images" at="/account/generations" signedIn={signedIn}>
      <div class="title-row">
        <h1>Images</h1>
        <ul class="filters" aria-label="Show">
          {FILTERS.map((one) => (
            <li>
              <a href={hrefOf(one.query)} aria-current={one === filter ? "true" : undefined}>
                {one.words}
              </a>
            </li>
          ))}
        </ul>
      </div>
      {shown.length === 0 ? (
        <Empty>
          <p>No images.</p>
          <p>
            <a href="/account/playground">Generate an image</a>
          </p>
        </Empty>
      ) : (
        <Gallery generations={shown} config={readConfig(c.env)} />
      )}
      <p class="more pages">
        {before === null ? null : <a href={hrefOf(query)}>Newest</a>}
        {page.hasMore ? <a href={hrefOf(older)}>Older</a> : null}
      </p>
    </AccountPage>,
  );
});

generations.get("/:id", async (c) => {
  const signedIn = c.get("signedIn");
  const generation = await findGeneration(signedIn.userId, c.req.param("id"), null, Date.now(), c.env);
  if (!generation) throw new PageError(404, "This generation does not exist.");
  c.set("generationId", generation.id);
  const ended = isEnded(generation);
  const deliveries = ended ? await readDeliveries(c.env, signedIn.userId, generation.id) : null;
  return c.html(
    <AccountPage
      title="Generation"
      at="/account/generations"
      signedIn={signedIn}
      scripts={ended ? ["copy.js"] : ["progress.js"]}
      refresh={ended ? undefined : REFRESH_SECONDS}
    >
      <Detail generation={generation} config={readConfig(c.env)} />
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
  if (sent === null) throw new PageError(404, "This generation has no webhook that can be sent.");
  return c.redirect(`/account/generations/${id}#deliveries`, 303);
});

generations.get("/:id/deliveries", (c) => c.redirect(`/account/generations/${c.req.param("id")}`, 303));

generations.post("/:id/cancel", async (c) => {
  const { userId } = c.get("signedIn");
  const outcome = await cancelGeneration(userId, c.req.param("id"), null, c.env, readConfig(c.env));
  if (outcome.kind === "unknown") throw new PageError(404, "This generation does not exist.");
  c.set("generationId", outcome.generation.id);
  if (wantsJson(c.req.header("Accept"))) return c.json(stateOf(outcome.generation, readConfig(c.env)));
  // If it could not be canceled, its page shows why: it runs, or it has ended.
  return c.redirect(`/account/generations/${outcome.generation.id}`, 303);
});

/** Followed by the scripts until the generation ends. */
generations.get("/:id/events", async (c) => {
  const { userId } = c.get("signedIn");
  const generation = await findGeneration(userId, c.req.param("id"), null, Date.now(), c.env);
  if (!generation) throw new PageError(404, "This generation does not exist.");
  c.set("generationId", generation.id);
  const config = readConfig(c.env);
  const stream = generationEvents(generation, userId, c.env, (record) => stateOf(record, config));
  return c.body(stream, 200, EVENT_STREAM_HEADERS);
});

/** Polled by the scripts while the stream of events is broken. */
generations.get("/:id/state", async (c) => {
  const { userId } = c.get("signedIn");
  const generation = await findGeneration(userId, c.req.param("id"), null, Date.now(), c.env);
  if (!generation) throw new PageError(404, "This generation does not exist.");
  return c.json(stateOf(generation, readConfig(c.env)));
});

/** What the scripts show. `message` is set where there are no images. */
function stateOf(generation: GenerationRecord, config: Config) {
  return {
    status: generation.status,
    ended: isEnded(generation),
    message: messageOf(generation),
    images: generation.images.map(({ key, width, height }) => ({
      url: imageSource(config, key),
      width,
      height,
    })),
  };
}

function messageOf({ status, error }: GenerationRecord): string | null {
  if (status === "canceled") return "Canceled. Your credits were returned.";
  return error === null ? null : FAILURE_MESSAGES[error];
}

const Detail: FC<{ generation: GenerationDetail; config: Config }> = ({ generation, config }) => {
  const { request, images, status, error } = generation;
  return (
    <>
      <p class="more">
        <a href="/account/generations">All images</a>
      </p>
      <h1 class="prompt-title">{request.prompt}</h1>
      {isEnded(generation) ? null : (
        <div
          class="progress"
          data-progress={`/account/generations/${generation.id}/state`}
          data-began={generation.createdAt}
        >
          <p role="status">
            <Status status={status} /> <span data-seconds aria-hidden="true" />
          </p>
          <div class="track" aria-hidden="true">
            <span />
          </div>
          <p data-reload hidden>
            Lost track of this generation.{" "}
            <a href={`/account/generations/${generation.id}`}>Reload the page</a>
          </p>
        </div>
      )}
      {status === "queued" ? <CancelForm id={generation.id} /> : null}
      {error === null ? null : (
        <div class="notice bad">
          <p>{FAILURE_MESSAGES[error]}</p>
        </div>
      )}
      <div class="detail">
        <div class="pictures-large">
          {images.map((image, at) => (
            <figure>
              <a href={imageSource(config, image.key)}>
                <img
                  src={imageSource(config, image.key)}
                  alt={`${at + 1}: ${request.prompt.slice(0, 120)}`}
                  width={image.width}
                  height={image.height}
                />
              </a>
              <figcaption>
                {image.width} × {image.height}, {formatBytes(image.bytes)}
                <a
                  href={imageSource(config, image.key)}
                  download={`${image.id}.${image.contentType.split("/")[1]}`}
                >
                  Download<span class="unseen"> image {at + 1}</span>
                </a>
              </figcaption>
            </figure>
          ))}
        </div>
        <div class="aside">
          <Options generation={generation} />
          <Receipt generation={generation} />
          <p>
            <a class="button quiet" href={`/account/playground?from=${generation.id}`}>
              Use this prompt again
            </a>
          </p>
        </div>
      </div>
    </>
  );
};

const CancelForm: FC<{ id: string }> = ({ id }) => (
  <form method="post" action={`/account/generations/${id}/cancel`} data-cancel>
    <button class="button quiet" type="submit">
      Cancel and refund
    </button>
  </form>
);

const Options: FC<{ generation: GenerationDetail }> = ({ generation }) => {
  const { request, model, status, id, createdAt, aspectRatio, tier } = generation;
  const { size, renderQuality, n, outputFormat, references } = request;
  return (
    <section class="panel" aria-labelledby="options">
      <h2 id="options">Settings</h2>
      <dl class="facts-list tight">
        <Fact name="Status">
          <Status status={status} />
        </Fact>
        {isLive(generation) ? null : <Fact name="Mode">Test</Fact>}
        <Fact name="Model">{model}</Fact>
        <Fact name="Size">{size === "auto" ? "auto" : `${size.width} × ${size.height}`}</Fact>
        <Fact name="Aspect ratio">{aspectRatio}</Fact>
        <Fact name="Resolution">{tier}</Fact>
        <Fact name="Quality">{renderQuality}</Fact>
        <Fact name="Images">{String(n)}</Fact>
        <Fact name="Format">{outputFormat}</Fact>
        {references > 0 ? <Fact name="References">{String(references)}</Fact> : null}
        <Fact name="Created">
          <Time at={createdAt} />
        </Fact>
        <Fact name="ID">
          <code>{id}</code>
        </Fact>
      </dl>
    </section>
  );
};

const Receipt: FC<{ generation: GenerationDetail }> = ({ generation }) => {
  const { creditsCharged, creditsRefunded, endedAt } = generation;
  return (
    <section class="panel" aria-labelledby="receipt">
      <h2 id="receipt">Receipt</h2>
      <dl class="facts-list tight">
        <Fact name="Charged">{formatCredits(creditsCharged)}</Fact>
        {creditsRefunded > 0 ? <Fact name="Refunded">{formatCredits(creditsRefunded)}</Fact> : null}
        <Fact name={endedAt === null ? "Reserved" : "Paid"}>
          <strong>{formatCredits(creditsCharged - creditsRefunded)}</strong>
        </Fact>
        {endedAt === null ? null : (
          <Fact name="Ended">
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
