import type { FC } from "hono/jsx";
import type { WebhookSecrets } from "../../account/store/webhooks.ts";
import type { Delivery } from "../../account/webhooks.ts";
import { describe, log } from "../../log.ts";
import { Section, Table, Time } from "../parts.tsx";
import { useTexts } from "../texts/language.ts";

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
export const WebhookSecret: FC<{ secrets: WebhookSecrets }> = ({ secrets: { secret, previous } }) => {
  const { webhooks } = useTexts();
  return (
    <Section id="webhooks-title" name={webhooks.secret}>
      <p>{webhooks.verifies(<a href="https://www.standardwebhooks.com/">Standard Webhooks</a>)}</p>
      <details>
        <summary>{webhooks.show}</summary>
        <p>
          <code>{secret}</code>
        </p>
      </details>
      {previous === null ? null : <p class="hint">{webhooks.previous(<Time at={previous.expiresAt} />)}</p>}
      <form method="post" action="/account/settings/webhook-secret">
        <button class="button quiet" type="submit">
          {webhooks.replace}
        </button>
      </form>
      <p class="hint">{webhooks.both}</p>
    </Section>
  );
};

/** The attempts to deliver the webhook of a generation, and a button that sends it again. */
export const Deliveries: FC<{ generationId: string; deliveries: readonly Delivery[] }> = ({
  generationId,
  deliveries,
}) => {
  const { webhooks } = useTexts();
  return (
    <Section id="deliveries" name={webhooks.webhook}>
      <Table
        stacked
        label={webhooks.deliveries}
        head={[webhooks.attempt, webhooks.sent, webhooks.answer, webhooks.next]}
      >
        {deliveries.map(({ attempt, sentAt, status, error, nextAttemptAt }) => (
          <tr>
            <td>{attempt}</td>
            <td data-label={webhooks.sent}>
              <Time at={sentAt} />
            </td>
            <td data-label={webhooks.answer}>
              {status ?? (error === "timeout" ? webhooks.noAnswer : webhooks.noConnection)}
            </td>
            <td data-label={webhooks.next}>
              {nextAttemptAt === null ? webhooks.none : <Time at={nextAttemptAt} />}
            </td>
          </tr>
        ))}
      </Table>
      <form method="post" action={`/account/generations/${generationId}/deliveries`}>
        <button class="button quiet" type="submit">
          {webhooks.again}
        </button>
      </form>
    </Section>
  );
};
