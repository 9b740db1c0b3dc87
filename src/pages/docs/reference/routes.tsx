import { Hono } from "hono";
import type { FC } from "hono/jsx";
import { cachePublicly, type PagesEnv } from "../../env.ts";
import { PublicPage } from "../../layout.tsx";
import { Section, Table } from "../../parts.tsx";
import { english } from "../../texts/english.tsx";
import { SearchBox } from "../search/box.tsx";
import type { Api } from "./openapi.ts";
import { AUTHORIZATION, Fields, OperationSection, Words } from "./operation.tsx";

/** The API reference, generated from the OpenAPI document and, like it, in English. */
export const reference = new Hono<PagesEnv>();

const INDEX = "/docs/reference";

/** Each page shows the operations of one API, by their tag. */
const BASES = [
  {
    path: `${INDEX}/api`,
    name: "Native API",
    lead: "Images, models and generations, under /api/v1.",
    has: (tag: string) => ["generations", "models", "images", "service"].includes(tag),
  },
  {
    path: `${INDEX}/webhooks`,
    name: "References and webhooks",
    lead: "References that are uploaded ahead, and webhooks, under /api/v1.",
    has: (tag: string) => ["references", "webhooks"].includes(tag),
  },
  {
    path: `${INDEX}/credits`,
    name: "Credits",
    lead: "The balance, the ledger and what is on sale, under /api/v1.",
    has: (tag: string) => tag === "credits",
  },
  {
    path: `${INDEX}/openai`,
    name: "OpenAI-compatible",
    lead: "OpenAI's image API. Its clients work after you change the base URL and the key.",
    has: (tag: string) => tag === "openai",
  },
] as const;

/** Not linked from the others, which are for customers. docs/operations.md names them. */
const OPERATOR_BASES = [
  {
    path: `${INDEX}/operator`,
    name: "Operator API",
    lead: "Users, their credits and their keys, for the operator of the service.",
    has: (tag: string) => tag === "operator",
  },
  {
    path: `${INDEX}/operations`,
    name: "Operations API",
    lead: "Figures, providers, comparisons and repairs, for the operator of the service.",
    has: (tag: string) => tag === "operations",
  },
] as const;

type Base = (typeof BASES)[number] | (typeof OPERATOR_BASES)[number];

/** The pages of the reference that others link to. */
export const REFERENCE_PATHS: readonly string[] = [INDEX, ...BASES.map(({ path }) => path)];

reference.get(INDEX, async (c) => {
  const api = await loadApi();
  cachePublicly(c);
  return c.html(<IndexPage api={api} />);
});

for (const base of [...BASES, ...OPERATOR_BASES]) {
  reference.get(base.path, async (c) => {
    const api = await loadApi();
    cachePublicly(c);
    return c.html(<BasePage api={api} base={base} />);
  });
}

/** The pages that others link to, as HTML. */
export async function renderReference(): Promise<{ name: string; path: string; html: string }[]> {
  const loaded = await loadApi();
  return BASES.map((base) => ({
    name: base.name,
    path: base.path,
    html: String(<BasePage api={loaded} base={base} />),
  }));
}

let api: Promise<Api> | undefined;

function loadApi(): Promise<Api> {
  api ??= readDocument();
  return api;
}

/** Building the document needs all schemas, so its code is loaded on first use and not with the API. */
async function readDocument(): Promise<Api> {
  const [{ buildDocument }, { readApi }] = await Promise.all([
    import("../../../http/openapi/document.ts"),
    import("./openapi.ts"),
  ]);
  return readApi(buildDocument());
}

const IndexPage: FC<{ api: Api }> = ({ api: { operations, headers } }) => (
  <PublicPage
    title="API reference · GPT Image Hub"
    texts={english}
    isOneLanguage
    description="Every endpoint of GPT Image Hub, with its parameters, bodies, responses and errors."
    scripts={["search.js", "contents.js"]}
  >
    <div class="wrap guide">
      <Contents
        entries={[...BASES.map(({ path, name }) => [path, name] as const), ["#headers", "Headers"]]}
      />
      <div class="text">
        <SearchBox />
        <Bases at={INDEX} />
        <h1>API reference</h1>
        <p class="lead">
          Every endpoint with its parameters, bodies, responses and errors. The <a href="/docs">guide</a>{" "}
          explains how to use them. The same reference for tools: <a href="/openapi.json">openapi.json</a>.
        </p>
        {BASES.map((base) => (
          <Section linked id={base.path.slice(INDEX.length + 1)} name={base.name}>
            <Table stacked label={base.name} head={["Endpoint", "Authorization", "Description"]}>
              {operations
                .filter(({ tag }) => base.has(tag))
                .map((operation) => (
                  <tr>
                    <td>
                      <a href={`${base.path}#${operation.id}`}>
                        <code>
                          {operation.method} {operation.path}
                        </code>
                      </a>
                    </td>
                    <td data-label="Authorization">{AUTHORIZATION[operation.security ?? "none"]}</td>
                    <td>{operation.summary}</td>
                  </tr>
                ))}
            </Table>
          </Section>
        ))}
        <Section linked id="headers" name="Headers">
          <Table stacked label="Headers" head={["Header", "Description"]}>
            {headers.map(({ name, description }) => (
              <tr>
                <td>
                  <code>{name}</code>
                </td>
                <td>
                  <Words text={description} />
                </td>
              </tr>
            ))}
          </Table>
        </Section>
      </div>
    </div>
  </PublicPage>
);

const BasePage: FC<{ api: Api; base: Base }> = ({ api: { operations }, base }) => {
  const shown = operations.filter(({ tag }) => base.has(tag));
  const isForCustomers = REFERENCE_PATHS.includes(base.path);
  const refusal = shown
    .flatMap(({ answers }) => answers)
    .find(({ status, bodies }) => status >= 400 && bodies.length > 0);
  return (
    <PublicPage
      title={`${base.name} · API reference · GPT Image Hub`}
      texts={english}
      isOneLanguage
      description={`Every endpoint and field of the ${base.name} of GPT Image Hub.`}
      scripts={[...(isForCustomers ? ["copy.js", "try.js"] : []), "search.js", "contents.js"]}
    >
      <div class="wrap guide">
        <Contents
          entries={[...shown.map(({ id, summary }) => [`#${id}`, summary] as const), ["#refusals", "Errors"]]}
        />
        <div class="text">
          <SearchBox />
          <Bases at={base.path} />
          <h1>{base.name}</h1>
          <p class="lead">{base.lead}</p>
          {isForCustomers ? (
            <p>
              See <a href="/docs#fields">the guide</a> for models, sizes and prices.
            </p>
          ) : null}
          {shown.map((operation) => (
            <OperationSection operation={operation} />
          ))}
          <Section linked id="refusals" name="Errors">
            <p>
              All errors have this format. See <a href="/docs#errors">the guide</a> for the meaning of each
              code.
            </p>
            <Fields isAnswer label="Fields of an error" fields={refusal?.bodies[0]?.fields ?? []} />
          </Section>
        </div>
      </div>
    </PublicPage>
  );
};

const Contents: FC<{ entries: readonly (readonly [href: string, name: string])[] }> = ({ entries }) => (
  <nav class="contents" aria-label="On this page">
    <ol>
      {entries.map(([href, name]) => (
        <li>
          <a href={href}>{name}</a>
        </li>
      ))}
    </ol>
  </nav>
);

const Bases: FC<{ at: string }> = ({ at }) => (
  <nav class="languages" aria-label="API reference">
    {[{ path: INDEX, name: "Reference" }, ...BASES].map(({ path, name }) => (
      <a href={path} aria-current={path === at ? "page" : undefined}>
        {name}
      </a>
    ))}
  </nav>
);
