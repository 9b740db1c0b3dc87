import type { FC } from "hono/jsx";
import type { Texts } from "../texts/english.tsx";
import { useTexts } from "../texts/language.ts";

const DAY_MS = 86_400_000;
const WIDTH = 720;
const HEIGHT = 200;
const LEFT = 44;
const BOTTOM = 26;
const TOP = 12;
const BAR_GAP = 3;
const LABEL_EVERY_DAYS = 7;

/** Credits by day, in days since 1970 (UTC). */
export type Series = { name: string; days: Map<number, number>; total: number };

/**
 * A bar chart of the credits used on each day up to today, with a bar for each series on top of the one before. Pointing
 * at a day shows its numbers; the legend names the series.
 */
export const UsageChart: FC<{ series: readonly Series[]; count: number; today: number }> = ({
  series,
  count,
  today,
}) => {
  const texts = useTexts();
  const { format, usage } = texts;
  const step = (WIDTH - LEFT) / count;
  const days = Array.from({ length: count }, (_, at) => {
    const day = today - count + 1 + at;
    const used = series.map(({ name, days }) => ({ name, credits: days.get(day) ?? 0 }));
    return { day, used, x: LEFT + at * step, total: used.reduce((sum, { credits }) => sum + credits, 0) };
  });
  const total = series.reduce((sum, one) => sum + one.total, 0);
  const top = roundUp(Math.max(1, ...days.map((one) => one.total)));
  const y = (credits: number) => TOP + (HEIGHT - TOP - BOTTOM) * (1 - credits / top);
  return (
    <>
      <svg class="chart" viewBox={`0 0 ${WIDTH} ${HEIGHT}`} role="img" aria-label={usage.chart(count, total)}>
        {[0, top / 2, top].map((credits) => (
          <g>
            <line class="grid" x1={LEFT} x2={WIDTH} y1={y(credits)} y2={y(credits)} />
            <text class="axis" x={LEFT - 8} y={y(credits) + 4} text-anchor="end">
              {format.number(credits)}
            </text>
          </g>
        ))}
        {days.map((one) => (
          <DayBars {...one} step={step} y={y} today={today} />
        ))}
      </svg>
      <ul class="legend">
        {series.map(({ name, total }, at) => (
          <li>
            <span class={`swatch s${at}`} /> {name}: {texts.credits(total)}
          </li>
        ))}
      </ul>
    </>
  );
};

type Used = { name: string; credits: number };

const DayBars: FC<{
  day: number;
  used: readonly Used[];
  total: number;
  x: number;
  step: number;
  y: (credits: number) => number;
  today: number;
}> = ({ day, used, total, x, step, y, today }) => (
  <g>
    <rect class="hit" x={x} y={TOP} width={step} height={HEIGHT - TOP - BOTTOM}>
      <title>{wordsOf(day, used, total, useTexts())}</title>
    </rect>
    {used.map(({ credits }, at) => {
      const below = used.slice(0, at).reduce((sum, one) => sum + one.credits, 0);
      return credits > 0 ? (
        <rect
          class={`bar s${at}`}
          x={x + BAR_GAP / 2}
          y={y(below + credits)}
          width={step - BAR_GAP}
          height={y(below) - y(below + credits)}
        />
      ) : null;
    })}
    {(today - day) % LABEL_EVERY_DAYS === 0 ? (
      <text
        class={(today - day) % (2 * LABEL_EVERY_DAYS) === 0 ? "axis" : "axis minor"}
        x={day === today ? WIDTH : x + step / 2}
        y={HEIGHT - 8}
        text-anchor={day === today ? "end" : "middle"}
      >
        {useTexts().format.dayOfYear(day * DAY_MS)}
      </text>
    ) : null}
  </g>
);

function wordsOf(day: number, used: readonly Used[], total: number, { credits, format }: Texts): string {
  const date = `${format.date(day * DAY_MS)}: ${credits(total)}`;
  const parts = used.filter(({ credits }) => credits > 0);
  if (parts.length < 2) return date;
  return `${date} (${parts.map(({ name, credits }) => `${name}: ${format.number(credits)}`).join(", ")})`;
}

/** Rounds up to an even number with one leading digit, the end of the axis. */
export function roundUp(value: number): number {
  const unit = 10 ** Math.floor(Math.log10(value));
  const rounded = Math.ceil(value / unit) * unit;
  return rounded + (rounded % 2);
}
