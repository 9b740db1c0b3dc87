import type { FC } from "hono/jsx";
import { roundUp } from "../account/chart.tsx";
import { english } from "../texts/english.tsx";

const { number: formatNumber } = english.format;

const WIDTH = 720;
const HEIGHT = 160;
const LEFT = 52;
const BOTTOM = 24;
const TOP = 10;
const BAR_GAP = 2;

/** Values by step. `color`: the number of a color in account.css. */
export type Series = { name: string; color: number; values: readonly number[] };

/**
 * A bar for each step, with the series on top of each other. Pointing at a step shows its numbers; the table below the
 * chart has them, too.
 * @param labels the name of each step
 */
export const StepChart: FC<{ name: string; series: readonly Series[]; labels: readonly string[] }> = ({
  name,
  series,
  labels,
}) => {
  const width = (WIDTH - LEFT) / labels.length;
  const totals = labels.map((_, at) => series.reduce((sum, { values }) => sum + (values[at] ?? 0), 0));
  const top = roundUp(Math.max(1, ...totals));
  const y = (value: number) => TOP + (HEIGHT - TOP - BOTTOM) * (1 - value / top);
  return (
    <svg class="chart" viewBox={`0 0 ${WIDTH} ${HEIGHT}`} role="img" aria-label={name}>
      {[0, top / 2, top].map((value) => (
        <g>
          <line class="grid" x1={LEFT} x2={WIDTH} y1={y(value)} y2={y(value)} />
          <text class="axis" x={LEFT - 8} y={y(value) + 4} text-anchor="end">
            {formatNumber(value)}
          </text>
        </g>
      ))}
      {labels.map((label, at) => (
        <g>
          <rect class="hit" x={LEFT + at * width} y={TOP} width={width} height={HEIGHT - TOP - BOTTOM}>
            <title>{`${label}: ${series.map((one) => `${one.name} ${formatNumber(one.values[at] ?? 0)}`).join(", ")}`}</title>
          </rect>
          {series.map(({ color, values }, index) => {
            const value = values[at] ?? 0;
            const below = series.slice(0, index).reduce((sum, one) => sum + (one.values[at] ?? 0), 0);
            return value === 0 ? null : (
              <rect
                class={`bar s${color}`}
                x={LEFT + at * width + BAR_GAP / 2}
                y={y(below + value)}
                width={width - BAR_GAP}
                height={y(below) - y(below + value)}
              />
            );
          })}
        </g>
      ))}
      {[0, labels.length - 1].map((at) => (
        <text
          class="axis"
          x={at === 0 ? LEFT : WIDTH}
          y={HEIGHT - 6}
          text-anchor={at === 0 ? "start" : "end"}
        >
          {labels[at]}
        </text>
      ))}
    </svg>
  );
};

export const Legend: FC<{ series: readonly Series[] }> = ({ series }) => (
  <ul class="legend">
    {series.map(({ name, color, values }) => (
      <li>
        <span class={`swatch s${color}`} /> {name}:{" "}
        {formatNumber(values.reduce((sum, value) => sum + value, 0))}
      </li>
    ))}
  </ul>
);
