import type { FC } from "hono/jsx";
import type { WebhookSecrets } from "../../account/store/webhooks.ts";
import type { Delivery } from "../../account/webhooks.ts";
import { describe, log } from "../../log.ts";
import { Section, Table, Time } from "../parts.tsx";

/** The secrets, or null while an account of an older release, which has none, still runs during a deployment. */
export function readSecrets(env: Env, userId: string): Promise<WebhookSecrets | null> {
  return orNull(userId, () => env.ACCOUNT.getByName(userId).webhookSecrets(true));
}

/** The attempts to deliver the webhook of a generation; null when it has none, and during a deployment as above. */
export function readDeliveries(env: Env, userId: string, id: string): Promise<Delivery[] | null> {
  return orNull(userId, () => env.ACCOUNT.getByName(userId).deliveries(id));
}

async function orNull<T>(userId: string, read: () => Promise<T | null>): Promise<T | null> {
  try {
    return await read();
  } catch (error) {
    log("webhooks_unread", { user_id: userId, error: describe(error) });
    return null;
  }
}

/** The secret that verifies webhooks, and a button that replaces it. */
export const WebhookSecret: FC<{ secrets: WebhookSecrets }> = ({ secrets: { secret, previous } }) => (
  <Section id="webhooks-title" name="Webhook secret">
    <p>
      Verifies the webhooks of your generations, as{" "}
      <a href="https://www.standardwebhooks.com/">Standard Webhooks</a> describes. Those of a test key have a
      secret of their own, which <code>GET /api/v1/webhooks/secret</code> returns with that key.
    </p>
    <details>
      <summary>Show the secret</summary>
      <p>
        <code>{secret}</code>
      </p>
    </details>
    {previous === null ? null : (
      <p class="hint">
        The secret before this one signs until <Time at={previous.expiresAt} />.
      </p>
    )}
    <form method="post" action="/account/settings/webhook-secret">
      <button class="button quiet" type="submit">
        Replace the secret
      </button>
    </form>
    <p class="hint">For 24 hours, webhooks are signed with both secrets.</p>
  </Section>
);

/** The attempts to deliver the webhook of a generation, and a button that sends it again. */
export const Deliveries: FC<{ generationId: string; deliveries: readonly Delivery[] }> = ({
  generationId,
  deliveries,
}) => (
  <Section id="deliveries" name="Webhook">
    <Table stacked label="Webhook deliveries" head={["Attempt", "Sent", "Answer", "Next attempt"]}>
      {deliveries.map(({ attempt, sentAt, status, error, nextAttemptAt }) => (
        <tr>
          <td>{attempt}</td>
          <td data-label="Sent">
            <Time at={sentAt} />
          </td>
          <td data-label="Answer">{status ?? (error === "timeout" ? "No answer" : "No connection")}</td>
          <td data-label="Next attempt">{nextAttemptAt === null ? "None" : <Time at={nextAttemptAt} />}</td>
        </tr>
      ))}
    </Table>
    <form method="post" action={`/account/generations/${generationId}/deliveries`}>
      <button class="button quiet" type="submit">
        Send again
      </button>
    </form>
  </Section>
);
