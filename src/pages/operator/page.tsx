import type { FC } from "hono/jsx";
import type { NamedGate } from "../../dispatch/client.ts";
import { type Stats, WINDOWS, type Window } from "../../watch/stats.ts";
import type { FormErrors } from "../forms.ts";
import { OperatorPage } from "../layout.tsx";
import { Field, FormError, Section, Table, Time } from "../parts.tsx";
import { counted, english } from "../texts/english.tsx";
import { Legend, type Series, StepChart } from "./chart.tsx";

const { number: formatNumber, money: formatMoney } = english.format;

const WINDOW_NAMES: Record<Window, string> = { hour: "Last hour", day: "Last day", month: "Last 30 days" };

/** The form that asks for the operator's token. */
export const TokenPage: FC<{ errors?: FormErrors }> = ({ errors }) => (
  <OperatorPage title="Operator · GPT Image Hub">
    <h1>Operator</h1>
    <FormError errors={errors} />
    <form method="post" action="/operator/sign-in" class="panel" novalidate>
      <Field
        name="token"
        label="Operator's token"
        hint="ADMIN_TOKEN. You are signed out after an hour."
        type="password"
        errors={errors}
        autocomplete="off"
        required
      />
      <button class="button" type="submit">
        Sign in
      </button>
    </form>
  </OperatorPage>
);

type Props = { window: Window; stats: Stats; gates: readonly NamedGate[] | null; now: number };

export const StatsPage: FC<Props> = ({ window, stats, gates, now }) => (
  <OperatorPage title={`${WINDOW_NAMES[window]} · Operator · GPT Image Hub`} scripts={["times.js"]}>
    <h1>Operator</h1>
    <nav aria-label="Period">
      <ul class="filters">
        {Object.entries(WINDOW_NAMES).map(([name, words]) => (
          <li>
            <a href={`/operator?window=${name}`} aria-current={name === window ? "page" : undefined}>
              {words}
            </a>
          </li>
        ))}
      </ul>
    </nav>
    <Alerts alerts={stats.alerts} />
    <Charts window={window} stats={stats} now={now} />
    <Outcomes generations={stats.generations} />
    <Gates gates={gates} />
    <Sweep accounts={stats.accounts} />
    <Money purchases={stats.purchases} incidents={stats.incidents} />
    <form method="post" action="/operator/sign-out">
      <button class="button quiet" type="submit">
        Sign out
      </button>
    </form>
  </OperatorPage>
);

const Alerts: FC<{ alerts: Stats["alerts"] }> = ({ alerts }) =>
  alerts.length === 0 ? (
    <div class="notice">
      <p>No alert fires.</p>
    </div>
  ) : (
    <div class="notice bad">
      {alerts.map(({ id, summary, since }) => (
        <p>
          <strong>{id}</strong>: {summary} Since <Time at={since} />.
        </p>
      ))}
    </div>
  );

/** Sums of one value by step, over the rows that `has` accepts. */
function valuesBy(
  { generations, from }: Stats,
  { steps, stepMs }: { steps: number; stepMs: number },
  has: (row: Stats["generations"][number]) => boolean,
  read: (row: Stats["generations"][number]) => number,
): number[] {
  const values = Array.from({ length: steps }, () => 0);
  for (const row of generations) {
    const at = Math.floor((row.startsAt - from) / stepMs);
    if (has(row) && at >= 0 && at < steps) values[at] = (values[at] ?? 0) + read(row);
  }
  return values;
}

const Charts: FC<{ window: Window; stats: Stats; now: number }> = ({ window, stats, now }) => {
  const { stepMs } = WINDOWS[window];
  const grid = { steps: Math.floor((now - stats.from) / stepMs) + 1, stepMs };
  const labels = Array.from({ length: grid.steps }, (_, at) => labelOf(stats.from + at * stepMs, window));
  const sums = (status: string | null, read: (row: Stats["generations"][number]) => number) =>
    valuesBy(stats, grid, (row) => status === null || row.status === status, read);
  const counts = sums(null, ({ count }) => count);
  const milliseconds = sums("succeeded", (row) => row.milliseconds);
  const succeeded = sums("succeeded", ({ count }) => count);
  const outcomes: Series[] = [
    { name: "Succeeded", color: 3, values: succeeded },
    { name: "Failed", color: 2, values: sums("failed", ({ count }) => count) },
    { name: "Canceled", color: 4, values: sums("canceled", ({ count }) => count) },
  ];
  const credits: Series[] = [
    { name: "Kept", color: 0, values: sums(null, (row) => row.creditsCharged - row.creditsRefunded) },
    { name: "Refunded", color: 1, values: sums(null, (row) => row.creditsRefunded) },
  ];
  const seconds = milliseconds.map((sum, at) => Math.round(sum / 1_000 / Math.max(1, succeeded[at] ?? 0)));
  const total = counts.reduce((sum, count) => sum + count, 0);
  return (
    <>
      <Section id="generations" name="Generations">
        <StepChart name={`${counted(total, "generation")} by outcome`} series={outcomes} labels={labels} />
        <Legend series={outcomes} />
      </Section>
      <Section id="credits" name="Credits">
        <StepChart name="Credits by step" series={credits} labels={labels} />
        <Legend series={credits} />
      </Section>
      <Section id="seconds" name="Seconds from acceptance to success">
        <StepChart
          name="Mean seconds by step"
          series={[{ name: "Seconds", color: 0, values: seconds }]}
          labels={labels}
        />
      </Section>
    </>
  );
};

/** The begin of a step, in UTC. */
function labelOf(at: number, window: Window): string {
  const text = new Date(at).toISOString();
  return window === "month" ? text.slice(0, 10) : `${text.slice(11, 16)} UTC`;
}

const Outcomes: FC<{ generations: Stats["generations"] }> = ({ generations }) => {
  const groups = Map.groupBy(generations, ({ model, status, error }) => [model, status, error].join(" "));
  return (
    <Section id="outcomes" name="By model and outcome">
      {groups.size === 0 ? <p>No generation has ended in this period.</p> : null}
      <Table
        label="By model and outcome"
        head={["Model", "Outcome", "Generations", "Images", "Credits kept"]}
      >
        {[...groups.values()].map((rows) => {
          const sum = (read: (row: (typeof rows)[number]) => number) =>
            formatNumber(rows.reduce((total, row) => total + read(row), 0));
          const [first] = rows;
          return (
            <tr>
              <td>{first?.model}</td>
              <td>{first?.error ? <code>{first.error}</code> : first?.status}</td>
              <td>{sum(({ count }) => count)}</td>
              <td>{sum(({ images }) => images)}</td>
              <td>{sum((row) => row.creditsCharged - row.creditsRefunded)}</td>
            </tr>
          );
        })}
      </Table>
    </Section>
  );
};

const Gates: FC<{ gates: readonly NamedGate[] | null }> = ({ gates }) => (
  <Section id="providers" name="Providers">
    {gates === null ? (
      <p>The providers' gates did not respond.</p>
    ) : (
      <Table
        label="Providers"
        head={["Provider", "Circuit", "Waiting", "Images in the last minute", "Last failure"]}
      >
        {gates.map(({ name, state, waiting, acceptedLastMinute, lastFailure }) => (
          <tr>
            <td>{name}</td>
            <td>{state}</td>
            <td>{formatNumber(waiting)}</td>
            <td>{formatNumber(acceptedLastMinute)}</td>
            <td>{lastFailure ?? ""}</td>
          </tr>
        ))}
      </Table>
    )}
  </Section>
);

const Sweep: FC<{ accounts: Stats["accounts"] }> = ({ accounts }) => (
  <Section id="accounts" name="Accounts">
    {accounts === null ? (
      <p>No sweep has run yet. It runs every five minutes in production.</p>
    ) : (
      <p>
        The last sweep, <Time at={accounts.at} />, asked {counted(accounts.accounts, "account")}:{" "}
        {counted(accounts.unfinished, "unfinished generation")}, {counted(accounts.alarmsLost, "lost alarm")},{" "}
        {counted(accounts.interrupted, "interrupted run")},{" "}
        {counted(accounts.webhooksFailing, "failing webhook")}.
      </p>
    )}
  </Section>
);

const Money: FC<{ purchases: Stats["purchases"]; incidents: Stats["incidents"] }> = ({
  purchases,
  incidents,
}) => (
  <Section id="purchases" name="Purchases and incidents">
    <ul>
      {purchases.map(({ currency, count, amount, credits }) => (
        <li>
          {counted(count, "purchase")}: {formatMoney(amount, currency)} for {formatNumber(credits)} credits
        </li>
      ))}
      {incidents.map(({ kind, count }) => (
        <li>
          <code>{kind}</code>: {formatNumber(count)}
        </li>
      ))}
      {purchases.length + incidents.length === 0 ? <li>None in this period.</li> : null}
    </ul>
  </Section>
);
