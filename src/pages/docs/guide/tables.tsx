import type { Child, FC } from "hono/jsx";
import type { Model } from "../../../catalogue/model.ts";
import { models, priceOf } from "../../../catalogue/models.ts";
import { modelSizeOf } from "../../../catalogue/shape.ts";
import { formatSize, type SizeLimits, TIER_LIMITS } from "../../../catalogue/sizes.ts";
import { STATUS } from "../../../http/errors.ts";
import { SCENARIO } from "../../../scenario.ts";
import { Anchor, Table } from "../../parts.tsx";
import type { Guide } from "./guide.ts";

export const Endpoints: FC<{ guide: Guide }> = ({ guide }) => {
  const { endpoints, columns } = guide;
  const rows = [
    ["GET", "/api/v1/models", false, endpoints.models],
    ["GET", "/api/v1/models/:id", false, endpoints.model],
    ["GET", "/api/v1/credits", true, endpoints.credits],
    ["GET", "/api/v1/credits/packs", false, endpoints.packs],
    ["GET", "/api/v1/credits/entries", true, endpoints.entries],
    ["GET", "/api/v1/credits/grants", true, endpoints.grants],
    ["GET", "/api/v1/usage", true, endpoints.usage],
    ["GET", "/api/v1/key", true, endpoints.key],
    ["POST", "/api/v1/images/generations", true, endpoints.generate],
    ["POST", "/api/v1/images/estimate", true, endpoints.estimate],
    ["GET", "/api/v1/generations", true, endpoints.list],
    ["GET", "/api/v1/generations/:id", true, endpoints.read],
    ["POST", "/api/v1/references", true, endpoints.upload],
    ["DELETE", "/api/v1/references/:id", true, endpoints.deleteReference],
    ["GET", "/api/v1/generations/:id/deliveries", true, endpoints.deliveries],
    ["POST", "/api/v1/generations/:id/deliveries", true, endpoints.resend],
    ["GET", "/api/v1/webhooks/secret", true, endpoints.secret],
    ["POST", "/api/v1/webhooks/secret/rotate", true, endpoints.rotate],
    ["POST", "/api/v1/generations/:id/cancel", true, endpoints.cancel],
    ["DELETE", "/api/v1/generations/:id", true, endpoints.delete],
    ["GET", "/api/v1/generations/:id/events", true, endpoints.events],
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

export const ModelFacts: FC<{ guide: Guide; model: Model }> = ({ guide, model }) => {
  const { modelFacts } = guide;
  const facts = [
    [modelFacts.id, <code>{model.id}</code>],
    [modelFacts.aliases, model.aliases.join(", ")],
    [modelFacts.provider, model.provider],
    [modelFacts.defaults, `${model.default_aspect_ratio}, ${model.default_quality}`],
    [modelFacts.qualities, model.supported_qualities.join(", ")],
    [modelFacts.ratios, model.supported_aspect_ratios.join(", ")],
    [modelFacts.renderQualities, model.supported_render_qualities.join(", ")],
    [modelFacts.formats, model.supported_output_formats.join(", ") || modelFacts.formatsByProvider],
    [modelFacts.references, String(model.reference_image_limit)],
    [modelFacts.most, String(model.max_images)],
    [modelFacts.promptMax, guide.texts.format.number(model.promptMax)],
  ] as const;
  return (
    <>
      <h3 id={`model-${model.id}`}>
        <Anchor id={`model-${model.id}`} name={model.name} />
      </h3>
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

export const Fields: FC<{ guide: Guide; models: readonly Model[] }> = ({ guide, models: offered }) => {
  const [model] = models;
  const values = {
    model: offered.map(({ id }) => id).join(", "),
    prompt: "a lighthouse at dusk",
    size: "auto, 1024x1024, …",
    quality: model.supported_render_qualities.join(", "),
    aspect_ratio: model.supported_aspect_ratios.slice(0, 4).join(", ").concat(", …"),
    resolution: model.supported_qualities.join(", "),
    n: `1–${model.max_images}`,
    async: "true, false",
    output_format: model.supported_output_formats.join(", "),
    output_compression: "0–100",
    background: "auto, opaque",
    moderation: "auto, low",
    user: "user-1234",
    response_format: "url, b64_json",
    max_credits: "100",
    metadata: '{ "project": "website" }',
    webhook_url: "https://example.com/webhooks",
    reference_images: '["https://example.com/cup.png"]',
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

export const Scenarios: FC<{ guide: Guide }> = ({ guide }) => (
  <Table stacked label={SCENARIO} head={[SCENARIO, guide.columns.meaning]}>
    {Object.entries(guide.scenarios).map(([scenario, meaning]) => (
      <tr>
        <td>
          <code>{scenario}</code>
        </td>
        <td>{meaning}</td>
      </tr>
    ))}
  </Table>
);

export const Prices: FC<{ guide: Guide; model: Model }> = ({ guide, model }) => {
  const { columns } = guide;
  const ratios = model.supported_aspect_ratios.filter((ratio) => ratio !== "auto");
  const isAny = model.sizes.kind === "any";
  return (
    <>
      <h3 id={`prices-${model.id}`}>
        <Anchor id={`prices-${model.id}`} name={model.name} />
      </h3>
      {model.sizes.kind === "any" ? (
        <p>{guide.anySize(anySizeFacts(guide, model.sizes))}</p>
      ) : (
        <p>{guide.listedSizes}</p>
      )}
      <Table
        label={columns.price}
        head={isAny ? [columns.tier, columns.pixels, columns.price] : [columns.tier, columns.price]}
      >
        {model.supported_qualities.map((tier) => (
          <tr>
            <td>{tier}</td>
            {isAny ? <td>≤ {guide.texts.format.number(TIER_LIMITS[tier].pixelsMax)}</td> : null}
            <td>{guide.credit(priceOf(model, tier, 1))}</td>
          </tr>
        ))}
      </Table>
      <Table label={guide.columns.ratio} head={[guide.columns.ratio, ...model.supported_qualities]}>
        {ratios.map((ratio) => (
          <tr>
            <td>{ratio}</td>
            {model.supported_qualities.map((tier) => (
              <td>
                <code>{formatSize(modelSizeOf(model, ratio, tier))}</code>
              </td>
            ))}
          </tr>
        ))}
      </Table>
    </>
  );
};

function anySizeFacts(guide: Guide, { edgeMax, pixelsMax }: SizeLimits) {
  return { edgeMax: guide.texts.format.number(edgeMax), pixelsMax: guide.texts.format.number(pixelsMax) };
}

export const Errors: FC<{ guide: Guide }> = ({ guide }) => (
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
