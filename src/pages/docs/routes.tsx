import { Hono } from "hono";
import type { Child, FC } from "hono/jsx";
import { type Model, models } from "../../catalogue/models.ts";
import {
  EDGE_MAX,
  EDGE_MULTIPLE,
  ELONGATION_MAX,
  formatSize,
  PIXELS_MAX,
  PIXELS_MIN,
  sizeOf,
  TIER_LIMITS,
} from "../../catalogue/sizes.ts";
import { type Config, readConfig } from "../../config.ts";
import { PROMPT_CODE_POINTS_MAX } from "../../generations/input.ts";
import { STATUS } from "../../http/errors.ts";
import { MULTIPART_LIMITS } from "../../http/multipart.ts";
import { renderBalance, renderGeneration } from "../../http/v1/render.ts";
import { keepPublic, type PagesEnv, siteOrigin } from "../env.ts";
import { PublicPage } from "../layout.tsx";
import { Code, Section, Table } from "../parts.tsx";
import { curlSample, javascriptSample, pythonSample } from "../samples.ts";
import { english } from "./english.tsx";
import type { Guide } from "./guide.ts";
import { turkish } from "./turkish.tsx";

export const docs = new Hono<PagesEnv>();

/** A language more is a file more, named here. */
export const GUIDES: readonly Guide[] = [english, turkish];

const MEGABYTE = 1024 * 1024;
const SAMPLE = {
  model: "gpt-image-2",
  prompt: "a lighthouse at dusk",
  size: "1536x1024",
  quality: "high",
  n: 1,
} as const;

for (const guide of GUIDES) {
  docs.get(guide.path, (c) => {
    keepPublic(c);
    const origin = siteOrigin(c);
    return c.html(<GuidePage guide={guide} origin={origin} config={readConfig(c.env)} />);
  });
}

const GuidePage: FC<{ guide: Guide; origin: string; config: Config }> = ({ guide, origin, config }) => {
  const { lang, title, sections, labels } = guide;
  return (
    <PublicPage
      title={`${title} · GPT Image Hub`}
      lang={lang}
      description={guide.description}
      alternates={[
        ...GUIDES.map((other) => ({ lang: other.lang, href: `${origin}${other.path}` })),
        { lang: "x-default", href: `${origin}${english.path}` },
      ]}
      words={guide.page}
      docsHref={guide.path}
      scripts={["copy.js"]}
    >
      <div class="wrap guide">
        <nav class="contents" aria-label={guide.contents}>
          <ol>
            {Object.entries(sections).map(([id, name]) => (
              <li>
                <a href={`#${id}`}>{name}</a>
              </li>
            ))}
          </ol>
        </nav>
        <div class="text">
          <p class="languages">
            {GUIDES.map((other) => (
              <a
                href={other.path}
                lang={other.lang}
                hreflang={other.lang}
                aria-current={other === guide ? "page" : undefined}
              >
                {other.name}
              </a>
            ))}
          </p>
          <h1>{title}</h1>
          <p class="lead">{guide.lead}</p>

          <Section id="start" name={sections.start}>
            <ol class="steps">
              {guide.steps.map((step) => (
                <li>{step}</li>
              ))}
            </ol>
            <Code copy={labels.copy} label={labels.request} text={curlSample(origin, SAMPLE)} />
            <Endpoints guide={guide} />
            <p>
              <a href="/docs/reference" hreflang="en">
                {guide.reference}
              </a>
            </p>
          </Section>
          <Section id="authentication" name={sections.authentication}>
            <Text of={guide.authentication} />
            <Code
              copy={labels.copy}
              label={labels.request}
              text={`Authorization: Bearer gih_live_${"x".repeat(32)}`}
            />
          </Section>
          <Section id="models" name={sections.models}>
            <Text of={guide.models} />
            <Code copy={labels.copy} label={labels.request} text={`curl ${origin}/api/v1/models`} />
            {models.map((model) => (
              <ModelFacts guide={guide} model={model} />
            ))}
          </Section>
          <Section id="generate" name={sections.generate}>
            <Text of={guide.generate} />
            <h3>JavaScript</h3>
            <Code copy={labels.copy} label={labels.javascript} text={javascriptSample(origin, SAMPLE)} />
            <h3>Python</h3>
            <Code copy={labels.copy} label={labels.python} text={pythonSample(origin, SAMPLE)} />
            <h3>{labels.answer}</h3>
            <Code
              copy={labels.copy}
              label={labels.answer}
              text={json({ ...sampleOf("succeeded", origin, config), balance: SAMPLE_BALANCE })}
            />
          </Section>
          <Section id="fields" name={sections.fields}>
            <Fields guide={guide} />
          </Section>
          <Section id="sizes" name={sections.sizes}>
            <Text
              of={guide.sizes({
                multiple: EDGE_MULTIPLE,
                edgeMax: EDGE_MAX,
                elongationMax: ELONGATION_MAX,
                pixelsMin: number(guide, PIXELS_MIN),
                pixelsMax: number(guide, PIXELS_MAX),
              })}
            />
            {models.map((model) => (
              <Prices guide={guide} model={model} />
            ))}
          </Section>
          <Section id="references" name={sections.references}>
            <Text
              of={guide.references({
                most: Math.max(...models.map((model) => model.reference_image_limit)),
                megabytes: MULTIPART_LIMITS.fileBytesMax / MEGABYTE,
              })}
            />
            <Code copy={labels.copy} label={labels.request} text={referenceSample(origin)} />
          </Section>
          <Section id="async" name={sections.async}>
            <Text of={guide.async} />
            <Code
              copy={labels.copy}
              label={labels.request}
              text={curlSample(origin, { ...SAMPLE, async: true })}
            />
            <Code
              copy={labels.copy}
              label={labels.accepted}
              text={json(sampleOf("queued", origin, config))}
            />
          </Section>
          <Section id="read" name={sections.read}>
            <Text of={guide.read} />
            <Code
              copy={labels.copy}
              label={labels.request}
              text={getSample(`${origin}/api/v1/generations/${SAMPLE_ID}`)}
            />
          </Section>
          <Section id="credits" name={sections.credits}>
            <Text of={guide.credits} />
            <Code copy={labels.copy} label={labels.request} text={getSample(`${origin}/api/v1/credits`)} />
            <Code
              copy={labels.copy}
              label={labels.answer}
              text={json({ object: "credit_balance", ...SAMPLE_BALANCE })}
            />
          </Section>
          <Section id="errors" name={sections.errors}>
            <Text of={guide.errors} />
            <Code
              copy={labels.copy}
              label={labels.error}
              text={json({
                error: {
                  message: "prompt is required.",
                  code: "invalid_request",
                  param: "prompt",
                  request_id: "req_01M4QK5Z2W8X9Y7V6T5S4R3P2N",
                },
              })}
            />
            <Errors guide={guide} />
          </Section>
          <Section id="limits" name={sections.limits}>
            <ul>
              {guide
                .limits({
                  waitSeconds: config.SYNC_WAIT_SECONDS,
                  imagesMax: Math.max(...models.map((model) => model.max_images)),
                  promptMax: number(guide, PROMPT_CODE_POINTS_MAX),
                  referencesMax: Math.max(...models.map((model) => model.reference_image_limit)),
                  megabytes: MULTIPART_LIMITS.fileBytesMax / MEGABYTE,
                })
                .map((limit) => (
                  <li>{limit}</li>
                ))}
            </ul>
          </Section>
        </div>
      </div>
    </PublicPage>
  );
};

const Text: FC<{ of: readonly Child[] }> = ({ of }) => (
  <>
    {of.map((paragraph) => (
      <p>{paragraph}</p>
    ))}
  </>
);

const Endpoints: FC<{ guide: Guide }> = ({ guide }) => {
  const { endpoints, columns } = guide;
  const rows = [
    ["GET", "/api/v1/models", false, endpoints.models],
    ["GET", "/api/v1/models/:id", false, endpoints.model],
    ["GET", "/api/v1/credits", true, endpoints.credits],
    ["POST", "/api/v1/images/generations", true, endpoints.generate],
    ["GET", "/api/v1/generations", true, endpoints.list],
    ["GET", "/api/v1/generations/:id", true, endpoints.read],
    ["", "/openai/v1", true, endpoints.openai],
  ] as const;
  return (
    <Table stacked label={columns.endpoint} head={[columns.endpoint, columns.key, columns.does]}>
      {rows.map(([method, path, needsKey, does]) => (
        <tr>
          <td>
            <code>
              {method} {path}
            </code>
          </td>
          <td data-label={columns.key}>{needsKey ? guide.needsKey : guide.needsNoKey}</td>
          <td>{does}</td>
        </tr>
      ))}
    </Table>
  );
};

const ModelFacts: FC<{ guide: Guide; model: Model }> = ({ guide, model }) => {
  const { modelFacts } = guide;
  const facts = [
    [modelFacts.id, <code>{model.id}</code>],
    [modelFacts.provider, model.provider],
    [modelFacts.defaults, `${model.default_aspect_ratio}, ${model.default_quality}`],
    [modelFacts.qualities, model.supported_qualities.join(", ")],
    [modelFacts.ratios, model.supported_aspect_ratios.join(", ")],
    [modelFacts.references, String(model.reference_image_limit)],
    [modelFacts.most, String(model.max_images)],
  ] as const;
  return (
    <>
      <h3>{model.name}</h3>
      <dl class="facts-list">
        {facts.map(([name, value]) => (
          <div>
            <dt>{name}</dt>
            <dd>{value}</dd>
          </div>
        ))}
      </dl>
    </>
  );
};

const Fields: FC<{ guide: Guide }> = ({ guide }) => {
  const [model] = models;
  if (!model) return null;
  const values = {
    model: models.map(({ id }) => id).join(", "),
    prompt: "a lighthouse at dusk",
    size: "auto, 1024x1024, …",
    quality: model.supported_render_qualities.join(", "),
    aspect_ratio: model.supported_aspect_ratios.slice(0, 4).join(", ").concat(", …"),
    resolution: model.supported_qualities.join(", "),
    n: `1–${model.max_images}`,
    async: "true, false",
    output_format: "png, jpeg, webp",
    reference_image: "@./reference.png",
  };
  const notes: ReadonlyMap<string, Child> = new Map(Object.entries(guide.fields));
  return (
    <Table
      stacked
      label={guide.sections.fields}
      head={[guide.columns.field, guide.columns.value, guide.columns.notes]}
    >
      {Object.entries(values).map(([name, value]) => (
        <tr>
          <td>
            <code>{name}</code>
          </td>
          <td>
            <code>{value}</code>
          </td>
          <td>{notes.get(name)}</td>
        </tr>
      ))}
    </Table>
  );
};

const Prices: FC<{ guide: Guide; model: Model }> = ({ guide, model }) => {
  const ratios = model.supported_aspect_ratios.filter((ratio) => ratio !== "auto");
  return (
    <>
      <Table
        label={guide.columns.price}
        head={[guide.columns.tier, guide.columns.pixels, guide.columns.price]}
      >
        {model.supported_qualities.map((tier) => (
          <tr>
            <td>{tier}</td>
            <td>≤ {number(guide, TIER_LIMITS[tier].pixelsMax)}</td>
            <td>{guide.credit(model.credits[tier])}</td>
          </tr>
        ))}
      </Table>
      <Table label={guide.columns.ratio} head={[guide.columns.ratio, ...model.supported_qualities]}>
        {ratios.map((ratio) => (
          <tr>
            <td>{ratio}</td>
            {model.supported_qualities.map((tier) => (
              <td>
                <code>{formatSize(sizeOf(ratio, tier))}</code>
              </td>
            ))}
          </tr>
        ))}
      </Table>
    </>
  );
};

const Errors: FC<{ guide: Guide }> = ({ guide }) => (
  <Table
    stacked
    label={guide.sections.errors}
    head={[guide.columns.status, guide.columns.code, guide.columns.meaning]}
  >
    {Object.entries(STATUS)
      .toSorted(([, a], [, b]) => a - b)
      .map(([code, status]) => (
        <tr>
          <td>{status}</td>
          <td>
            <code>{code}</code>
          </td>
          <td>{guide.codes[code] ?? ""}</td>
        </tr>
      ))}
  </Table>
);

const SAMPLE_ID = "gen_01M4QK5Z2W8X9Y7V6T5S4R3P2N";
const SAMPLE_TIME = Date.UTC(2026, 10, 22, 8);
const SAMPLE_SECONDS = 14;
const SAMPLE_BALANCE = renderBalance({ credits: 112, nextExpiration: null }, "PRO");

/** The generation of the examples, put into words by the API's own code. */
function sampleOf(status: "succeeded" | "queued", origin: string, config: Config) {
  const ended = status === "succeeded";
  const at = SAMPLE_TIME + SAMPLE_SECONDS * 1000;
  const id = "img_01M4QK61R8B7C6D5E4F3G2H1J0";
  const image = {
    id,
    key: `${SAMPLE_ID}/${id}.png`,
    createdAt: at,
    width: 1536,
    height: 1024,
    contentType: "image/png",
    bytes: 1_234_567,
  } as const;
  const record = {
    id: SAMPLE_ID,
    status,
    model: SAMPLE.model,
    aspectRatio: "3:2",
    tier: "1K",
    createdAt: SAMPLE_TIME,
    endedAt: ended ? at : null,
    creditsCharged: 8,
    creditsRefunded: 0,
    error: null,
    images: ended ? [image] : [],
    origin,
  };
  return renderGeneration(record, config);
}

function referenceSample(origin: string): string {
  return `curl ${origin}/api/v1/images/generations \\
  -H "Authorization: Bearer YOUR_API_KEY" \\
  -F "model=gpt-image-2" \\
  -F "prompt=the same cup on a wooden table, morning light" \\
  -F "size=1024x1024" \\
  -F "reference_image=@./cup.png"`;
}

function getSample(url: string): string {
  return `curl ${url} \\
  -H "Authorization: Bearer YOUR_API_KEY"`;
}

function json(value: unknown): string {
  return JSON.stringify(value, null, 2);
}

function number(guide: Guide, value: number): string {
  return new Intl.NumberFormat(guide.lang).format(value);
}
