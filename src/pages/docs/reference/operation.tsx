import type { FC } from "hono/jsx";
import { ApiError, type ErrorCode, STATUS } from "../../../http/errors.ts";
import { toOpenAIError } from "../../../http/openai/errors.ts";
import { Section, Table } from "../../parts.tsx";
import type { Answer, Field, Operation } from "./openapi.ts";

export const AUTHORIZATION = { apiKey: "API key", operator: "Operator token", none: "None" } as const;

export const OperationSection: FC<{ operation: Operation }> = ({ operation }) => {
  const { id, method, path, summary, description, security, parameters, body, bodyTypes, answers } =
    operation;
  return (
    <Section linked id={id} name={summary}>
      <p class="address" data-try={canBeTried(operation) ? id : undefined}>
        <code>
          <strong>{method}</strong> {path}
        </code>
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
      <h3>Responses</h3>
      {answers
        .filter(({ status }) => status < 400)
        .map((answer) => (
          <AnswerFacts answer={answer} summary={summary} />
        ))}
      <Refusals operation={operation} />
    </Section>
  );
};

/** Not what only takes files. */
function canBeTried({ bodyTypes }: Operation): boolean {
  return bodyTypes.length === 0 || bodyTypes.includes("application/json");
}

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

/** Marks the required fields of requests and the optional fields of responses. */
export const Fields: FC<{ label: string; fields: readonly Field[]; isAnswer?: boolean }> = ({
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
      {!required && isAnswer ? "Optional. " : ""}
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

/** Text with code between backquotes. */
export const Words: FC<{ text: string }> = ({ text }) => (
  <>{text.split("`").map((part, index) => (index % 2 === 0 ? part : <code>{part}</code>))}</>
);

const GENERATION_ERRORS: readonly ErrorCode[] = [
  "contentPolicyViolation",
  "unreadableReference",
  "generationFailed",
];

/** The error codes that an operation returns with a status, as its API spells them. */
function codesOf({ tag, security, answers }: Operation, status: number): string[] {
  const isPaid = answers.some((answer) => answer.status === STATUS.insufficientCredits);
  const codes = errorCodes.filter(
    (code) =>
      STATUS[code] === status &&
      (isPaid || !GENERATION_ERRORS.includes(code)) &&
      (security === "apiKey" || code !== "expiredApiKey"),
  );
  if (tag !== "openai") return codes;
  return codes.map((code) => toOpenAIError(new ApiError(code, "", { param: "model" })).code ?? "null");
}

const isErrorCode = (name: string): name is ErrorCode => name in STATUS;
const errorCodes = Object.keys(STATUS).filter(isErrorCode);
