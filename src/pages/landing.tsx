import { Hono } from "hono";
import { models } from "../catalogue/models.ts";
import { keepPublic, type PagesEnv, siteOrigin } from "./env.ts";
import { PublicPage } from "./layout.tsx";
import { Code } from "./parts.tsx";
import { curlSample } from "./samples.ts";

export const landing = new Hono<PagesEnv>();

/** Made by the service itself, on a laptop. */
const PICTURES = [
  { file: "lighthouse.webp", prompt: "a lighthouse at dusk" },
  { file: "cabin.webp", prompt: "a mountain cabin by a lake, evening" },
  { file: "city.webp", prompt: "a city skyline at night" },
  { file: "winter.webp", prompt: "a village in the snow under a full moon" },
  { file: "desert.webp", prompt: "desert dunes at noon" },
  { file: "forest.webp", prompt: "a forest in autumn rain" },
  { file: "balloons.webp", prompt: "balloons over green hills" },
];
const [FIRST_PICTURE, ...OTHER_PICTURES] = PICTURES;

landing.get("/", (c) => {
  keepPublic(c);
  const sample = curlSample(siteOrigin(c), {
    model: "gpt-image-2",
    prompt: "a lighthouse at dusk",
    size: "1536x1024",
  });
  return c.html(
    <PublicPage
      title="GPT Image Hub: pictures from a sentence, over a plain HTTP API"
      description="An image-generation API with keys, prepaid credits and refunds that happen by themselves."
      scripts={["copy.js"]}
    >
      <section class="wrap hero">
        <div>
          <h1>Pictures from a sentence, over a plain HTTP API.</h1>
          <p class="lead">
            One key, one request, one picture or four. You pay in prepaid credits, and what was not delivered
            is refunded before the answer reaches you.
          </p>
          <p class="actions">
            <a class="button" href="/sign-up">
              Create an account
            </a>
            <a class="button quiet" href="/docs">
              Read the documentation
            </a>
          </p>
        </div>
        {FIRST_PICTURE ? <Picture {...FIRST_PICTURE} eager /> : null}
      </section>
      <section class="wrap" aria-labelledby="prices">
        <h2 id="prices">What a picture costs</h2>
        {models.map((model) => (
          <ul class="prices">
            {model.supported_qualities.map((tier) => (
              <li>
                <strong>{model.credits[tier]} credits</strong>
                <span>
                  {tier}, {TIER_WORDS[tier]}
                </span>
              </li>
            ))}
          </ul>
        ))}
        <p class="hint">For each picture, whatever its shape. A failed one costs nothing.</p>
      </section>
      <section class="wrap" aria-labelledby="request">
        <h2 id="request">The whole integration</h2>
        <div class="two">
          <Code label="Example request" text={sample} />
          <ul class="facts">
            <li>
              <strong>Waits, or does not.</strong> The call answers with the picture; with <code>async</code>{" "}
              it answers at once, and you look again later.
            </li>
            <li>
              <strong>Hang up if you must.</strong> What has been accepted is finished and kept, and never
              charged twice.
            </li>
            <li>
              <strong>Your pictures as a start.</strong> Send up to sixteen references with a prompt.
            </li>
            <li>
              <strong>Every credit is accounted for.</strong> Each charge and each refund is a line you can
              read.
            </li>
          </ul>
        </div>
      </section>
      <section class="wrap" aria-labelledby="pictures">
        <h2 id="pictures">Made with it</h2>
        <div class="pictures">
          {OTHER_PICTURES.map((picture) => (
            <Picture {...picture} />
          ))}
        </div>
      </section>
    </PublicPage>,
  );
});

const TIER_WORDS = {
  "1K": "up to 1536 × 1024",
  "2K": "up to 2048 × 2048",
  "4K": "up to 3840 × 2160",
};

const Picture = ({ file, prompt, eager = false }: { file: string; prompt: string; eager?: boolean }) => (
  <figure>
    <img
      src={`/assets/pictures/${file}`}
      alt={`Drawn for the prompt: ${prompt}`}
      width={960}
      height={640}
      loading={eager ? "eager" : "lazy"}
    />
    <figcaption>“{prompt}”</figcaption>
  </figure>
);
