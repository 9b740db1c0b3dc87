import { Hono } from "hono";
import type { FC } from "hono/jsx";
import { ApiError, type ErrorCode, STATUS } from "../../http/errors.ts";
import { toOpenAIError } from "../../http/openai/errors.ts";
import { keepPublic, type PagesEnv } from "../env.ts";
import { PublicPage } from "../layout.tsx";
import { Section, Table } from "../parts.tsx";
import type { Answer, Api, Field, Operation } from "./openapi.ts";

/** The API reference, made of the OpenAPI document: in English, as that is. */
export const reference = new Hono<PagesEnv>();

const INDEX = "/docs/reference";

/** One page a base. What has no tag named here is the API's own. */
const BASES = [
  {
    path: `${INDEX}/api`,
    name: "Native API",
    lead: "Images, models, credits: what a program needs, under /api/v1.",
    has: (tag: string) => tag !== "openai" && tag !== "operator",
  },
  {
    path: `${INDEX}/openai`,
    name: "OpenAI-compatible",
    lead: "OpenAI's image API. Its clients need another base URL and another key, and nothing else.",
    has: (tag: string) => tag === "openai",
  },
  {
    path: `${INDEX}/operator`,
    name: "Operator API",
    lead: "Users, their credits and their keys: for whoever runs the service.",
    has: (tag: string) => tag === "operator",
  },
] as const;

type Base = (typeof BASES)[number];

reference.get(INDEX, async (c) => {
  const api = await loadApi();
  keepPublic(c);
  return c.html(<IndexPage api={api} />);
});

for (const base of BASES) {
  reference.get(base.path, async (c) => {
    const api = await loadApi();
    keepPublic(c);
    return c.html(<BasePage api={api} base={base} />);
  });
}

let api: Promise<Api> | undefined;

function loadApi(): Promise<Api> {
  api ??= readDocument();
  return api;
}

/** The document is made of every schema there is: loaded here, on first use, so that no call of the API waits for it. */
async function readDocument(): Promise<Api> {
  const [{ buildDocument }, { readApi }] = await Promise.all([
    import("../../http/openapi/document.ts"),
    import("./openapi.ts"),
  ]);
  return readApi(buildDocument());
}

const IndexPage: FC<{ api: Api }> = ({ api: { operations, headers } }) => (
  <PublicPage
    title="API reference · GPT Image Hub"
    description="Every address of GPT Image Hub: its parameters, bodies, answers and errors."
  >
    <div class="wrap guide">
      <Contents
        entries={[...BASES.map(({ path, name }) => [path, name] as const), ["#headers", "Headers"]]}
      />
      <div class="text">
        <Bases at={INDEX} />
        <h1>API reference</h1>
        <p class="lead">
          Every address, with its parameters, bodies, answers and errors. The <a href="/docs">guide</a> tells
          how they are used; <a href="/openapi.json">openapi.json</a> is the same for programs.
        </p>
        {BASES.map((base) => (
          <Section id={base.path.slice(INDEX.length + 1)} name={base.name}>
            <Table stacked label={base.name} head={["Address", "Authorization", "What it does"]}>
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
        <Section id="headers" name="Headers">
          <Table stacked label="Headers" head={["Header", "What it says"]}>
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

const AUTHORIZATION = { apiKey: "API key", operator: "operator's token", none: "none" } as const;

const BasePage: FC<{ api: Api; base: Base }> = ({ api: { operations }, base }) => {
  const shown = operations.filter(({ tag }) => base.has(tag));
  const refusal = shown
    .flatMap(({ answers }) => answers)
    .find(({ status, bodies }) => status >= 400 && bodies.length > 0);
  return (
    <PublicPage
      title={`${base.name} · API reference · GPT Image Hub`}
      description={`Every address of the ${base.name} part of GPT Image Hub, field by field.`}
    >
      <div class="wrap guide">
        <Contents
          entries={[...shown.map(({ id, summary }) => [`#${id}`, summary] as const), ["#refusals", "Errors"]]}
        />
        <div class="text">
          <Bases at={base.path} />
          <h1>{base.name}</h1>
          <p class="lead">{base.lead}</p>
          {base.has("operator") ? null : (
            <p>
              What each model, size and quality is and costs is in <a href="/docs#fields">the guide</a>.
            </p>
          )}
          {shown.map((operation) => (
            <OperationSection operation={operation} />
          ))}
          <Section id="refusals" name="Errors">
            <p>
              Whatever is refused is told in this shape. What each code means is in{" "}
              <a href="/docs#errors">the guide</a>.
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

const OperationSection: FC<{ operation: Operation }> = ({ operation }) => {
  const { id, method, path, summary, description, security, parameters, body, bodyTypes, answers } =
    operation;
  return (
    <Section id={id} name={summary}>
      <p class="address">
        <code>
          <strong>{method}</strong> {path}
        </code>{" "}
        <a href={`#${id}`} aria-label={`Link to: ${summary}`}>
          #
        </a>
      </p>
      {description === undefined ? null : (
        <p>
          <Words text={description} />
        </p>
      )}
      <p class="hint">Authorization: {AUTHORIZATION[security ?? "none"]}</p>
      {parameters.length === 0 ? null : (
        <>
          <h3>Parameters</h3>
          <Fields label={`Parameters: ${summary}`} fields={parameters} />
        </>
      )}
      {body.length === 0 ? null : (
        <>
          <h3>Body</h3>
          <p class="hint">{bodyTypes.join(" or ")}</p>
          <Fields label={`Body: ${summary}`} fields={body} />
        </>
      )}
      <h3>Answers</h3>
      {answers
        .filter(({ status }) => status < 400)
        .map((answer) => (
          <AnswerFacts answer={answer} summary={summary} />
        ))}
      <Refusals operation={operation} />
    </Section>
  );
};

const AnswerFacts: FC<{ answer: Answer; summary: string }> = ({ answer, summary }) => (
  <>
    <p>
      <strong>{answer.status}</strong> {answer.description}{" "}
      <span class="hint">
        Headers: <Codes values={answer.headers} />.
      </span>
    </p>
    {answer.bodies.map(({ mediaType, fields }) =>
      fields.length === 0 ? (
        <p class="hint">{mediaType}</p>
      ) : (
        <details>
          <summary>
            Fields of {answer.status}, <code>{mediaType}</code>
          </summary>
          <Fields isAnswer label={`${answer.status}, ${mediaType}: ${summary}`} fields={fields} />
        </details>
      ),
    )}
  </>
);

const Refusals: FC<{ operation: Operation }> = ({ operation }) => (
  <Table stacked label={`Errors: ${operation.summary}`} head={["HTTP", "Code", "Meaning"]}>
    {operation.answers
      .filter(({ status }) => status >= 400)
      .map(({ status, description }) => (
        <tr>
          <td>{status}</td>
          <td>
            <Codes values={codesOf(operation, status)} />
          </td>
          <td>
            <Words text={description} />
          </td>
        </tr>
      ))}
  </Table>
);

/** What requests must have is said of them; of answers, what they may lack. */
const Fields: FC<{ label: string; fields: readonly Field[]; isAnswer?: boolean }> = ({
  label,
  fields,
  isAnswer = false,
}) => (
  <Table stacked label={label} head={["Field", "Type", "Notes"]}>
    {fields.map((field) => (
      <tr>
        <td>
          <code>{field.name}</code>
        </td>
        <td>{field.type}</td>
        <td>
          <FieldNotes field={field} isAnswer={isAnswer} />
        </td>
      </tr>
    ))}
  </Table>
);

const FieldNotes: FC<{ field: Field; isAnswer: boolean }> = ({ field, isAnswer }) => {
  const { required, place, description, values, limits, fallback } = field;
  return (
    <>
      {required && !isAnswer ? "Required. " : ""}
      {!required && isAnswer ? "Not always there. " : ""}
      {place === undefined ? "" : `In ${place}. `}
      {description === undefined ? null : <Words text={`${description} `} />}
      {values.length === 0 ? null : (
        <>
          {values.length === 1 ? "Always " : "One of "}
          <Codes values={values} />.{" "}
        </>
      )}
      {limits.map((limit) => (
        <>
          <code>{limit}</code>{" "}
        </>
      ))}
      {fallback === undefined ? null : (
        <>
          Default <code>{fallback}</code>.
        </>
      )}
    </>
  );
};

const Codes: FC<{ values: readonly string[] }> = ({ values }) => (
  <>
    {values.map((value, index) => (
      <>
        {index === 0 ? "" : ", "}
        <code>{value}</code>
      </>
    ))}
  </>
);

/** Text of the document, where backquotes enclose code. */
const Words: FC<{ text: string }> = ({ text }) => (
  <>{text.split("`").map((part, index) => (index % 2 === 0 ? part : <code>{part}</code>))}</>
);

const OF_PAID_WORK: readonly ErrorCode[] = [
  "contentPolicyViolation",
  "unreadableReference",
  "generationFailed",
];

/** The codes of a status that this operation can give, in the words of its dialect. */
function codesOf({ tag, security, answers }: Operation, status: number): string[] {
  const isPaid = answers.some((answer) => answer.status === STATUS.insufficientCredits);
  const codes = errorCodes.filter(
    (code) =>
      STATUS[code] === status &&
      (isPaid || !OF_PAID_WORK.includes(code)) &&
      (security === "apiKey" || code !== "expiredApiKey"),
  );
  if (tag !== "openai") return codes;
  return codes.map((code) => toOpenAIError(new ApiError(code, "", { param: "model" })).code ?? "null");
}

const isErrorCode = (name: string): name is ErrorCode => name in STATUS;
const errorCodes = Object.keys(STATUS).filter(isErrorCode);
