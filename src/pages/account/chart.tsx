import type { FC } from "hono/jsx";
import type { DailyUsage } from "../../generations/usage.ts";
import { formatCredits, formatDate, formatNumber } from "../format.ts";

const DAY_MS = 86_400_000;
const WIDTH = 720;
const HEIGHT = 200;
const LEFT = 44;
const BOTTOM = 26;
const TOP = 12;
const BAR_GAP = 3;
const LABEL_EVERY_DAYS = 7;

/** A bar chart of the credits used on each day up to today. Pointing at a bar shows its day and number. */
export const UsageChart: FC<{ days: readonly DailyUsage[]; count: number; today: number }> = ({
  days,
  count,
  today,
}) => {
  const used = new Map(days.map(({ day, credits }) => [day, credits]));
  const total = days.reduce((sum, { credits }) => sum + credits, 0);
  const top = roundUp(Math.max(1, ...used.values()));
  const step = (WIDTH - LEFT) / count;
  const y = (credits: number) => TOP + (HEIGHT - TOP - BOTTOM) * (1 - credits / top);
  const bars = Array.from({ length: count }, (_, at) => {
    const day = today - count + 1 + at;
    return { day, credits: used.get(day) ?? 0, x: LEFT + at * step };
  });
  return (
    <svg
      class="chart"
      viewBox={`0 0 ${WIDTH} ${HEIGHT}`}
      role="img"
      aria-label={`Credits used in the last ${count} days: ${formatNumber(total)} in total.`}
    >
      {[0, top / 2, top].map((credits) => (
        <g>
          <line class="grid" x1={LEFT} x2={WIDTH} y1={y(credits)} y2={y(credits)} />
          <text class="axis" x={LEFT - 8} y={y(credits) + 4} text-anchor="end">
            {formatNumber(credits)}
          </text>
        </g>
      ))}
      {bars.map(({ day, credits, x }) => (
        <g>
          <rect class="hit" x={x} y={TOP} width={step} height={HEIGHT - TOP - BOTTOM}>
            <title>{`${formatDate(day * DAY_MS)}: ${formatCredits(credits)}`}</title>
          </rect>
          {credits > 0 ? (
            <rect
              class="bar"
              x={x + BAR_GAP / 2}
              y={y(credits)}
              width={step - BAR_GAP}
              height={y(0) - y(credits)}
              rx={2}
            />
          ) : null}
          {(today - day) % LABEL_EVERY_DAYS === 0 ? (
            <text
              class={(today - day) % (2 * LABEL_EVERY_DAYS) === 0 ? "axis" : "axis minor"}
              x={day === today ? WIDTH : x + step / 2}
              y={HEIGHT - 8}
              text-anchor={day === today ? "end" : "middle"}
            >
              {formatDate(day * DAY_MS).replace(/ \d+$/, "")}
            </text>
          ) : null}
        </g>
      ))}
    </svg>
  );
};

/** Rounds up to an even number with one leading digit, the end of the axis. */
function roundUp(value: number): number {
  const unit = 10 ** Math.floor(Math.log10(value));
  const rounded = Math.ceil(value / unit) * unit;
  return rounded + (rounded % 2);
}
