import type { Child, FC } from "hono/jsx";
import type { Model } from "../../../catalogue/model.ts";
import { EDGE_MULTIPLE, ELONGATION_MAX, PIXELS_MIN } from "../../../catalogue/sizes.ts";
import type { Config } from "../../../config.ts";
import { PROMPT_CODE_POINTS_MAX } from "../../../generations/input.ts";
import { MULTIPART_LIMITS } from "../../../http/multipart.ts";
import { DELAY_SECONDS_MAX } from "../../../scenario.ts";
import { PublicPage } from "../../layout.tsx";
import { Code, Section } from "../../parts.tsx";
import { curlSample, javascriptSample, pythonSample } from "../../samples.ts";
import {
  getSample,
  json,
  referenceSample,
  SAMPLE,
  SAMPLE_BALANCE,
  SAMPLE_ID,
  sampleOf,
  scenarioSample,
} from "./examples.ts";
import { formatIn, type Guide } from "./guide.ts";
import { Endpoints, Errors, Fields, ModelFacts, Prices, Scenarios } from "./tables.tsx";

const MEGABYTE = 1024 * 1024;
const REFERENCE_MEGABYTES_MAX = MULTIPART_LIMITS.fileBytesMax / MEGABYTE;

type Content = { guide: Guide; origin: string; config: Config; models: readonly Model[] };

function mostReferences(models: readonly Model[]): number {
  return Math.max(...models.map((model) => model.reference_image_limit));
}

export const GuidePage: FC<Content & { guides: readonly [Guide, ...Guide[]] }> = ({ guides, ...content }) => {
  const { guide, origin } = content;
  const [fallback] = guides;
  return (
    <PublicPage
      title={`${guide.title} · GPT Image Hub`}
      lang={guide.lang}
      description={guide.description}
      alternates={[
        ...guides.map((other) => ({ lang: other.lang, href: `${origin}${other.path}` })),
        { lang: "x-default", href: `${origin}${fallback.path}` },
      ]}
      words={guide.page}
      docsHref={guide.path}
      scripts={["copy.js"]}
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
          <Languages guides={guides} current={guide} />
          <h1>{guide.title}</h1>
          <p class="lead">{guide.lead}</p>
          <Start {...content} />
          <Authentication {...content} />
          <Models {...content} />
          <Generate {...content} />
          <Section id="fields" name={guide.sections.fields}>
            <Fields guide={guide} models={content.models} />
          </Section>
          <Sizes {...content} />
          <References {...content} />
          <Async {...content} />
          <Read {...content} />
          <Credits {...content} />
          <TestKeys {...content} />
          <ErrorFormat {...content} />
          <Limits {...content} />
        </div>
      </div>
    </PublicPage>
  );
};

const Languages: FC<{ guides: readonly Guide[]; current: Guide }> = ({ guides, current }) => (
  <p class="languages">
    {guides.map(({ path, lang, name }) => (
      <a href={path} lang={lang} hreflang={lang} aria-current={path === current.path ? "page" : undefined}>
        {name}
      </a>
    ))}
  </p>
);

const Text: FC<{ of: readonly Child[] }> = ({ of }) => (
  <>
    {of.map((paragraph) => (
      <p>{paragraph}</p>
    ))}
  </>
);

/** A code sample with the guide's words. */
const Sample: FC<{ guide: Guide; text: string; label?: keyof Guide["labels"] }> = ({
  guide: { labels },
  text,
  label = "request",
}) => <Code copy={labels.copy} label={labels[label]} text={text} />;

const Start: FC<Content> = ({ guide, origin }) => (
  <Section id="start" name={guide.sections.start}>
    <ol class="steps">
      {guide.steps.map((step) => (
        <li>{step}</li>
      ))}
    </ol>
    <Sample guide={guide} text={curlSample(origin, SAMPLE)} />
    <Endpoints guide={guide} />
    <p>
      <a href="/docs/reference" hreflang="en">
        {guide.reference}
      </a>
    </p>
  </Section>
);

const Authentication: FC<Content> = ({ guide }) => (
  <Section id="authentication" name={guide.sections.authentication}>
    <Text of={guide.authentication} />
    <Sample guide={guide} text={`Authorization: Bearer gih_live_${"x".repeat(32)}`} />
  </Section>
);

const Models: FC<Content> = ({ guide, origin, models }) => (
  <Section id="models" name={guide.sections.models}>
    <Text of={guide.models} />
    <Sample guide={guide} text={`curl ${origin}/api/v1/models`} />
    {models.map((model) => (
      <ModelFacts guide={guide} model={model} />
    ))}
  </Section>
);

const Generate: FC<Content> = ({ guide, origin, config }) => {
  const answer = { ...sampleOf("succeeded", origin, config), balance: SAMPLE_BALANCE };
  return (
    <Section id="generate" name={guide.sections.generate}>
      <Text of={guide.generate} />
      <h3>JavaScript</h3>
      <Sample guide={guide} label="javascript" text={javascriptSample(origin, SAMPLE)} />
      <h3>Python</h3>
      <Sample guide={guide} label="python" text={pythonSample(origin, SAMPLE)} />
      <h3>{guide.labels.answer}</h3>
      <Sample guide={guide} label="answer" text={json(answer)} />
    </Section>
  );
};

const Sizes: FC<Content> = ({ guide, models }) => (
  <Section id="sizes" name={guide.sections.sizes}>
    <Text
      of={guide.sizes({
        multiple: EDGE_MULTIPLE,
        elongationMax: ELONGATION_MAX,
        pixelsMin: formatIn(guide, PIXELS_MIN),
      })}
    />
    {models.map((model) => (
      <Prices guide={guide} model={model} />
    ))}
  </Section>
);

const References: FC<Content> = ({ guide, origin, models }) => (
  <Section id="references" name={guide.sections.references}>
    <Text of={guide.references({ most: mostReferences(models), megabytes: REFERENCE_MEGABYTES_MAX })} />
    <Sample guide={guide} text={referenceSample(origin)} />
  </Section>
);

const Async: FC<Content> = ({ guide, origin, config }) => (
  <Section id="async" name={guide.sections.async}>
    <Text of={guide.async} />
    <Sample guide={guide} text={curlSample(origin, { ...SAMPLE, async: true })} />
    <Sample guide={guide} label="accepted" text={json(sampleOf("queued", origin, config))} />
  </Section>
);

const Read: FC<Content> = ({ guide, origin }) => (
  <Section id="read" name={guide.sections.read}>
    <Text of={guide.read} />
    <Sample guide={guide} text={getSample(`${origin}/api/v1/generations/${SAMPLE_ID}`)} />
  </Section>
);

const Credits: FC<Content> = ({ guide, origin }) => (
  <Section id="credits" name={guide.sections.credits}>
    <Text of={guide.credits} />
    <Sample guide={guide} text={getSample(`${origin}/api/v1/credits`)} />
    <Sample guide={guide} label="answer" text={json({ object: "credit_balance", ...SAMPLE_BALANCE })} />
  </Section>
);

const TestKeys: FC<Content> = ({ guide, origin }) => (
  <Section id="test-keys" name={guide.sections["test-keys"]}>
    <Text of={guide.testKeys({ delaySecondsMax: DELAY_SECONDS_MAX })} />
    <Scenarios guide={guide} />
    <Sample guide={guide} text={scenarioSample(origin)} />
  </Section>
);

const ErrorFormat: FC<Content> = ({ guide }) => {
  const error = {
    message: "prompt is required.",
    code: "invalid_request",
    param: "prompt",
    request_id: "req_01M4QK5Z2W8X9Y7V6T5S4R3P2N",
  };
  return (
    <Section id="errors" name={guide.sections.errors}>
      <Text of={guide.errors} />
      <Sample guide={guide} label="error" text={json({ error })} />
      <Errors guide={guide} />
    </Section>
  );
};

const Limits: FC<Content> = ({ guide, config, models }) => {
  const limits = guide.limits({
    waitSeconds: config.SYNC_WAIT_SECONDS,
    imagesMax: Math.max(...models.map((model) => model.max_images)),
    promptMax: formatIn(guide, PROMPT_CODE_POINTS_MAX),
    referencesMax: mostReferences(models),
    megabytes: REFERENCE_MEGABYTES_MAX,
  });
  return (
    <Section id="limits" name={guide.sections.limits}>
      <ul>
        {limits.map((limit) => (
          <li>{limit}</li>
        ))}
      </ul>
    </Section>
  );
};
