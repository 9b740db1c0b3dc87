import type { Child, FC } from "hono/jsx";
import type { Model } from "../../../catalogue/model.ts";
import { EDGE_MULTIPLE, ELONGATION_MAX, PIXELS_MIN } from "../../../catalogue/sizes.ts";
import type { Config } from "../../../config.ts";
import { PROMPT_CODE_POINTS_MAX } from "../../../generations/input.ts";
import { MULTIPART_LIMITS } from "../../../http/multipart.ts";
import { DELAY_SECONDS_MAX } from "../../../scenario.ts";
import { PublicPage } from "../../layout.tsx";
import { Anchor, Code, CodeTabs, type Samples, Section } from "../../parts.tsx";
import { curlSample } from "../../samples.ts";
import { SearchBox } from "../search/box.tsx";
import {
  callSample,
  clientSample,
  commandSample,
  ESTIMATE,
  estimateSample,
  eventsSample,
  idempotencySample,
  json,
  listSamples,
  openaiSamples,
  pollSamples,
  RATE_LIMIT_HEADERS,
  referenceSample,
  retrySamples,
  SAMPLE,
  SAMPLE_BALANCE,
  SAMPLE_ID,
  sampleOf,
  scenarioSample,
  startSamples,
  WEBHOOK_SAMPLE,
  waitSample,
} from "./examples.ts";
import type { Guide } from "./guide.ts";
import { Endpoints, Errors, Fields, ModelFacts, Prices, Scenarios } from "./tables.tsx";

const MEGABYTE = 1024 * 1024;
const REFERENCE_MEGABYTES_MAX = MULTIPART_LIMITS.fileBytesMax / MEGABYTE;

type Content = { guide: Guide; origin: string; config: Config; models: readonly Model[] };

function mostReferences(models: readonly Model[]): number {
  return Math.max(...models.map((model) => model.reference_image_limit));
}

export const GuidePage: FC<Content> = (content) => {
  const { guide, origin } = content;
  return (
    <PublicPage
      title={`${guide.title} · GPT Image Hub`}
      texts={guide.texts}
      description={guide.description}
      origin={origin}
      localized="guide"
      scripts={["copy.js", "tabs.js", "search.js", "contents.js"]}
    >
      <div class="wrap guide">
        <nav class="contents" aria-label={guide.contents}>
          <ol>
            {Object.entries(guide.sections).map(([id, name]) => (
              <li>
                <a href={`#${id}`}>{name}</a>
              </li>
            ))}
          </ol>
        </nav>
        <div class="text">
          <SearchBox />
          <h1>{guide.title}</h1>
          <p class="lead">{guide.lead}</p>
          <Start {...content} />
          <Authentication {...content} />
          <Models {...content} />
          <Generate {...content} />
          <Part id="fields" guide={guide}>
            <Fields guide={guide} models={content.models} />
          </Part>
          <Sizes {...content} />
          <References {...content} />
          <Async {...content} />
          <Webhooks {...content} />
          <Read {...content} />
          <List {...content} />
          <Delete {...content} />
          <Idempotency {...content} />
          <Credits {...content} />
          <Cost {...content} />
          <OpenAI {...content} />
          <Client {...content} />
          <TestKeys {...content} />
          <ErrorFormat {...content} />
          <Retries {...content} />
          <RateLimits {...content} />
          <Limits {...content} />
        </div>
      </div>
    </PublicPage>
  );
};

/** A section of the guide. */
const Part: FC<{ guide: Guide; id: keyof Guide["sections"]; children?: Child }> = ({
  guide,
  id,
  children,
}) => (
  <Section linked id={id} name={guide.sections[id]}>
    {children}
  </Section>
);

/** A heading within a section. */
const Heading: FC<{ guide: Guide; id: keyof Guide["headings"] }> = ({ guide, id }) => (
  <h3 id={id}>
    <Anchor id={id} name={guide.headings[id]} />
  </h3>
);

const Text: FC<{ of: readonly Child[] }> = ({ of }) => (
  <>
    {of.map((paragraph) => (
      <p>{paragraph}</p>
    ))}
  </>
);

const Bullets: FC<{ of: readonly Child[] }> = ({ of }) => (
  <ul>
    {of.map((item) => (
      <li>{item}</li>
    ))}
  </ul>
);

/** A code sample with the guide's words. */
const Sample: FC<{ guide: Guide; text: string; label?: keyof Guide["labels"] }> = ({
  guide: { labels },
  text,
  label = "request",
}) => <Code label={labels[label]} text={text} />;

/** The same request in several languages. */
const Tabs: FC<{ guide: Guide; id: string; of: Samples }> = ({ guide: { labels }, id, of }) => (
  <CodeTabs id={id} legend={labels.language} label={labels.request} samples={of} />
);

/** A response below its request. */
const Answer: FC<{ guide: Guide; value: unknown; label?: "answer" | "accepted" | "error" }> = ({
  guide,
  value,
  label = "answer",
}) => (
  <>
    <p class="hint">{guide.labels[label]}</p>
    <Sample guide={guide} label={label} text={json(value)} />
  </>
);

const Start: FC<Content> = ({ guide, origin }) => (
  <Part id="start" guide={guide}>
    <ol class="steps">
      {guide.steps.map((step) => (
        <li>{step}</li>
      ))}
    </ol>
    <Sample guide={guide} label="variable" text="export GIH_KEY=gih_live_…" />
    <Tabs guide={guide} id="first" of={startSamples(origin)} />
    <Endpoints guide={guide} />
    <p>
      <a href="/docs/reference" hreflang="en">
        {guide.reference}
      </a>
    </p>
  </Part>
);

const Authentication: FC<Content> = ({ guide }) => (
  <Part id="authentication" guide={guide}>
    <Text of={guide.authentication} />
    <Sample guide={guide} label="header" text={`Authorization: Bearer gih_live_${"x".repeat(32)}`} />
  </Part>
);

const Models: FC<Content> = ({ guide, origin, models }) => (
  <Part id="models" guide={guide}>
    <Text of={guide.models} />
    <Sample guide={guide} text={`curl ${origin}/api/v1/models`} />
    {models.map((model) => (
      <ModelFacts guide={guide} model={model} />
    ))}
  </Part>
);

const Generate: FC<Content> = ({ guide, origin, config }) => {
  const generation = sampleOf("succeeded", origin, config);
  const [image] = generation.images;
  return (
    <Part id="generate" guide={guide}>
      <Text of={guide.generate} />
      <Answer guide={guide} value={{ ...generation, balance: SAMPLE_BALANCE }} />
      <Heading guide={guide} id="saving" />
      <Text of={guide.saving} />
      <Sample guide={guide} text={`curl -o lighthouse.png ${image?.url}`} />
    </Part>
  );
};

const Sizes: FC<Content> = ({ guide, models }) => (
  <Part id="sizes" guide={guide}>
    <Text
      of={guide.sizes({
        multiple: EDGE_MULTIPLE,
        elongationMax: ELONGATION_MAX,
        pixelsMin: guide.texts.format.number(PIXELS_MIN),
      })}
    />
    {models.map((model) => (
      <Prices guide={guide} model={model} />
    ))}
  </Part>
);

const References: FC<Content> = ({ guide, origin, models }) => (
  <Part id="references" guide={guide}>
    <Text of={guide.references({ most: mostReferences(models), megabytes: REFERENCE_MEGABYTES_MAX })} />
    <Sample guide={guide} text={referenceSample(origin)} />
  </Part>
);

const Async: FC<Content> = ({ guide, origin, config }) => (
  <Part id="async" guide={guide}>
    <Text of={guide.async} />
    <Sample guide={guide} text={curlSample(origin, { ...SAMPLE, async: true })} />
    <Answer guide={guide} label="accepted" value={sampleOf("queued", origin, config)} />
    <Heading guide={guide} id="waiting" />
    <Text of={guide.waiting({ waitSeconds: config.SYNC_WAIT_SECONDS })} />
    <Sample guide={guide} text={waitSample(origin)} />
    <Heading guide={guide} id="polling" />
    <Text of={guide.polling} />
    <Tabs guide={guide} id="poll" of={pollSamples(origin)} />
    <Heading guide={guide} id="events" />
    <Text of={guide.events} />
    <Sample guide={guide} text={eventsSample(origin)} />
  </Part>
);

const Webhooks: FC<Content> = ({ guide, origin }) => (
  <Part id="webhooks" guide={guide}>
    <Text of={guide.webhooks} />
    <Sample
      guide={guide}
      text={curlSample(origin, { ...SAMPLE, async: true, webhook_url: "https://example.com/webhooks" })}
    />
    <Heading guide={guide} id="verifying" />
    <Text of={guide.verifying} />
    <Sample guide={guide} text={callSample(`${origin}/api/v1/webhooks/secret`)} />
    <Sample guide={guide} label="receiver" text={WEBHOOK_SAMPLE} />
  </Part>
);

const Read: FC<Content> = ({ guide, origin }) => (
  <Part id="read" guide={guide}>
    <Text of={guide.read} />
    <Sample guide={guide} text={callSample(`${origin}/api/v1/generations/${SAMPLE_ID}`)} />
  </Part>
);

const List: FC<Content> = ({ guide, origin }) => (
  <Part id="list" guide={guide}>
    <Text of={guide.list} />
    <Tabs guide={guide} id="pages" of={listSamples(origin)} />
  </Part>
);

const Delete: FC<Content> = ({ guide, origin }) => {
  const url = `${origin}/api/v1/generations/${SAMPLE_ID}`;
  return (
    <Part id="delete" guide={guide}>
      <Text of={guide.delete} />
      <Sample guide={guide} text={callSample(`${url}/cancel`, "-X POST")} />
      <Sample guide={guide} text={callSample(url, "-X DELETE")} />
    </Part>
  );
};

const Idempotency: FC<Content> = ({ guide, origin }) => (
  <Part id="idempotency" guide={guide}>
    <Text of={guide.idempotency} />
    <Sample guide={guide} text={idempotencySample(origin)} />
  </Part>
);

const Credits: FC<Content> = ({ guide, origin }) => (
  <Part id="credits" guide={guide}>
    <Text of={guide.credits} />
    <Sample guide={guide} text={callSample(`${origin}/api/v1/credits`)} />
    <Answer guide={guide} value={{ object: "credit_balance", ...SAMPLE_BALANCE }} />
  </Part>
);

const Cost: FC<Content> = ({ guide, origin }) => (
  <Part id="cost" guide={guide}>
    <Bullets of={guide.cost} />
    <Sample guide={guide} text={estimateSample(origin)} />
    <Answer guide={guide} value={ESTIMATE} />
  </Part>
);

const OpenAI: FC<Content> = ({ guide, origin }) => (
  <Part id="openai" guide={guide}>
    <Text of={guide.openai} />
    <Tabs guide={guide} id="sdk" of={openaiSamples(origin)} />
  </Part>
);

const Client: FC<Content> = ({ guide, origin }) => (
  <Part id="client" guide={guide}>
    <Text of={guide.client} />
    <Sample guide={guide} label="program" text={clientSample(origin)} />
    <Heading guide={guide} id="commands" />
    <Text of={guide.commands} />
    <Sample guide={guide} label="commands" text={commandSample(origin)} />
  </Part>
);

const TestKeys: FC<Content> = ({ guide, origin }) => (
  <Part id="test-keys" guide={guide}>
    <Text of={guide.testKeys({ delaySecondsMax: DELAY_SECONDS_MAX })} />
    <Scenarios guide={guide} />
    <Sample guide={guide} text={scenarioSample(origin)} />
  </Part>
);

const ErrorFormat: FC<Content> = ({ guide }) => {
  const error = {
    message: "prompt is required.",
    code: "invalid_request",
    param: "prompt",
    request_id: "req_01M4QK5Z2W8X9Y7V6T5S4R3P2N",
  };
  return (
    <Part id="errors" guide={guide}>
      <Text of={guide.errors} />
      <Sample guide={guide} label="error" text={json({ error })} />
      <Errors guide={guide} />
    </Part>
  );
};

const Retries: FC<Content> = ({ guide, origin }) => (
  <Part id="retries" guide={guide}>
    <Text of={guide.retries} />
    <Bullets of={guide.advice} />
    <Tabs guide={guide} id="retry" of={retrySamples(origin)} />
  </Part>
);

const RateLimits: FC<Content> = ({ guide, config }) => (
  <Part id="rate-limits" guide={guide}>
    <Text
      of={guide.rateLimits({
        perMinute: config.RATE_LIMIT_PER_MINUTE,
        unfinished: config.MAX_CONCURRENT_GENERATIONS,
      })}
    />
    <Sample guide={guide} label="headers" text={RATE_LIMIT_HEADERS} />
  </Part>
);

const Limits: FC<Content> = ({ guide, config, models }) => {
  const limits = guide.limits({
    waitSeconds: config.SYNC_WAIT_SECONDS,
    imagesMax: Math.max(...models.map((model) => model.max_images)),
    promptMax: guide.texts.format.number(PROMPT_CODE_POINTS_MAX),
    referencesMax: mostReferences(models),
    megabytes: REFERENCE_MEGABYTES_MAX,
  });
  return (
    <Part id="limits" guide={guide}>
      <Bullets of={limits} />
    </Part>
  );
};
