import type { Context } from "hono";
import type { FC } from "hono/jsx";
import type { Grant } from "../../account/ledger.ts";
import type { Entry } from "../../account/store/ledger.ts";
import type { Subject } from "../../account/views.ts";
import { findSubjects } from "../../generations/read.ts";
import { describe, log } from "../../log.ts";
import type { PagesEnv } from "../env.ts";
import { excerptOf } from "../format.ts";
import { Empty, scrolls, Time } from "../parts.tsx";
import { useTexts } from "../texts/language.ts";

/** The transactions on the credits page. */

/** How much of a prompt a row shows, in characters. */
const PROMPT_SHOWN = 60;

/** Generations by id; null or missing: deleted or not known. */
type Subjects = ReadonlyMap<string, Subject | null>;

/**
 * The generations of the entries. Those that the account no longer keeps are read from the log at once; without the
 * log, their rows only say what kind they are of.
 * @param kept the generations that the account returned; undefined from an older release
 */
export async function completeSubjects(
  c: Context<PagesEnv>,
  entries: readonly Entry[],
  kept: Subjects = new Map(),
): Promise<Subjects> {
  const ids = new Set(entries.flatMap(({ generationId }) => generationId ?? []));
  const missing = [...ids].filter((id) => !kept.has(id));
  if (missing.length === 0) return kept;
  try {
    const logged = await findSubjects(c.get("signedIn").userId, missing, c.env);
    return new Map([...kept, ...logged.map((subject) => [subject.id, subject] as const)]);
  } catch (error) {
    log("page_part_failed", { request_id: c.get("requestId"), error: describe(error) });
    return kept;
  }
}

/**
 * Entries of grants name them, such as "Credits granted: Starter". Those of generations show what was generated.
 * @param grants those that the page lists
 * @param keyNames by id
 */
export const Entries: FC<{
  entries: readonly Entry[];
  grants: readonly Grant[];
  subjects: Subjects;
  keyNames: ReadonlyMap<string, string>;
}> = ({ entries, grants, subjects, keyNames }) => {
  const { credit, format } = useTexts();
  const reasons = new Map(grants.map(({ id, reason }) => [id, reason]));
  const wordsOf = ({ kind, grantId }: Pick<Entry, "kind" | "grantId">) =>
    [credit.kinds[kind], reasons.get(grantId)].filter(Boolean).join(": ");
  return entries.length === 0 ? (
    <Empty>
      <p>{credit.none}</p>
    </Empty>
  ) : (
    <div class="table stacked" {...scrolls(credit.transactions)}>
      <table>
        <thead>
          <tr>
            <th scope="col">{credit.type}</th>
            <th scope="col" class="number">
              {credit.credits}
            </th>
            <th scope="col" class="number">
              {credit.balanceAfter}
            </th>
            <th scope="col">{credit.date}</th>
          </tr>
        </thead>
        <tbody>
          {entries.map(({ kind, credits, balanceAfter, generationId, createdAt, grantId }) => (
            <tr>
              <td>
                {generationId === null ? (
                  wordsOf({ kind, grantId })
                ) : (
                  <ForGeneration
                    id={generationId}
                    kind={kind}
                    subject={subjects.get(generationId) ?? null}
                    keyNames={keyNames}
                  />
                )}
              </td>
              <td class={`number ${credits > 0 ? "gain" : ""}`}>
                {credits > 0 ? "+" : "−"}
                {format.number(Math.abs(credits))}
              </td>
              <td class="number" data-label={credit.balanceAfter}>
                {format.number(balanceAfter)}
              </td>
              <td>
                <Time at={createdAt} />
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
};

/** The generation of a charge or refund. One that is deleted, or not known, has no page to link. */
const ForGeneration: FC<{
  id: string;
  kind: Entry["kind"];
  subject: Subject | null;
  keyNames: ReadonlyMap<string, string>;
}> = ({ id, kind, subject, keyNames }) => {
  const { credit, frame } = useTexts();
  if (subject === null) return <>{credit.kinds[kind]}</>;
  const { prompt, model, keyId } = subject;
  const key = keyId === "" ? frame.playground : keyNames.get(keyId ?? "");
  return (
    <>
      <a href={`/account/generations/${id}`}>{credit.kinds[kind]}</a>
      <span class="subject">
        <span class="subject-prompt">{excerptOf(prompt, PROMPT_SHOWN)}</span>
        <span class="subject-of">{[model, key].filter(Boolean).join(", ")}</span>
      </span>
    </>
  );
};
