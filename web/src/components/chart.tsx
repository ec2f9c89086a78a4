// Charts by uPlot: a line, gaps in the data as gaps, outages as bands, marks as dashes. A text says the same.

import { useEffect, useRef } from 'preact/hooks';
import uPlot from 'uplot';
import { preferences } from '../state/preferences';
import { clock, day, number } from '../text/format';

export interface Series {
  label: string;
  /** Which of the series colours. */
  color: 1 | 2 | 3 | 4;
  values: readonly (number | null)[];
}

export interface ChartProps {
  /** What the chart says, for those who do not see it. */
  text: string;
  times: readonly number[];
  series: readonly Series[];
  kind?: 'line' | 'bars';
  digits?: number;
  height?: number;
  from: number;
  to: number;
  bands?: readonly (readonly [number, number])[];
  mark?: { value: number; state: 'degraded' | 'down' } | null;
  /** No axes: beside a number. */
  spark?: boolean;
}

const color = (name: string) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

function bands(props: ChartProps): uPlot.Plugin {
  return {
    hooks: {
      drawClear: (u) => {
        const { ctx } = u;
        const { top, height, left, width } = u.bbox;
        ctx.save();
        for (const [start, end] of props.bands ?? []) {
          const a = Math.max(left, u.valToPos(start, 'x', true));
          const b = Math.min(left + width, u.valToPos(end, 'x', true));
          if (b < left || a > left + width) continue;
          ctx.fillStyle = color('--down-soft');
          ctx.fillRect(a, top, Math.max(2, b - a), height);
          ctx.fillStyle = color('--down');
          ctx.fillRect(a, top, Math.max(2, b - a), 2 * devicePixelRatio);
        }
        ctx.restore();
      },
      draw: (u) => {
        if (!props.mark) return;
        const y = u.valToPos(props.mark.value, 'y', true);
        const { ctx } = u;
        ctx.save();
        ctx.strokeStyle = color(`--${props.mark.state}`);
        ctx.lineWidth = 1.5 * devicePixelRatio;
        ctx.setLineDash([4 * devicePixelRatio, 4 * devicePixelRatio]);
        ctx.beginPath();
        ctx.moveTo(u.bbox.left, y);
        ctx.lineTo(u.bbox.left + u.bbox.width, y);
        ctx.stroke();
        ctx.restore();
      },
    },
  };
}

/** Values of bars that stand on each other, the last at the bottom. */
export function stacked(series: readonly Series[]): (number | null)[][] {
  const sums: (number | null)[][] = series.map(() => []);
  const count = series[0]?.values.length ?? 0;
  for (let i = 0; i < count; i++) {
    let sum = 0;
    for (let s = series.length - 1; s >= 0; s--) {
      sum += series[s]?.values[i] ?? 0;
      sums[s]?.push(sum);
    }
  }
  return sums;
}

function optionsOf(props: ChartProps, width: number, height: number): uPlot.Options {
  const isBars = props.kind === 'bars';
  const font = `11px ${color('--font') || 'sans-serif'}`;
  const axis = { stroke: color('--text-3'), font, ticks: { show: false }, grid: { stroke: color('--chart-grid'), width: 1 } };
  const isLong = props.to - props.from > 2 * 86400;
  return {
    width,
    height,
    padding: props.spark ? [2, 2, 2, 2] : [8, 8, 0, 0],
    cursor: { show: !props.spark, drag: { x: false, y: false }, points: { size: 6 } },
    legend: { show: false },
    select: { show: false, left: 0, top: 0, width: 0, height: 0 },
    scales: {
      x: { time: true, range: () => [props.from, props.to] },
      y: isBars ? { range: (_u, _min, max) => [0, Math.max(1, max * 1.1)] } : {},
    },
    axes: props.spark
      ? [{ show: false }, { show: false }]
      : [
          { ...axis, grid: { show: false }, space: 64, size: 24, values: (_u, ticks) => ticks.map((t) => (isLong ? day(t).slice(5) : clock(t))) },
          { ...axis, size: 44, space: 28, gap: 6, values: (_u, ticks) => ticks.map((v) => number(v, props.digits ?? 1)) },
        ],
    series: [
      {},
      ...props.series.map((one): uPlot.Series => ({
        label: one.label,
        stroke: color(`--chart-${one.color}`),
        width: isBars ? 0 : 1.5,
        points: { show: false },
        spanGaps: false,
        ...(isBars && uPlot.paths.bars ? { fill: color(`--chart-${one.color}`), paths: uPlot.paths.bars({ size: [0.72, 28], align: 1 }) } : {}),
      })),
    ],
    plugins: [bands(props)],
  };
}

export function Chart(props: ChartProps) {
  const box = useRef<HTMLDivElement>(null);
  const tip = useRef<HTMLDivElement>(null);
  const height = props.height ?? 150;
  const { theme } = preferences.value;

  useEffect(() => {
    const element = box.current;
    if (!element) return undefined;
    const values = props.kind === 'bars' ? stacked(props.series) : props.series.map((one) => [...one.values]);
    const data = [[...props.times], ...values] as unknown as uPlot.AlignedData;
    const options = optionsOf(props, element.clientWidth || 300, height);
    options.hooks = {
      setCursor: [
        (u) => {
          const at = u.cursor.idx;
          const note = tip.current;
          if (!note) return;
          note.hidden = at === null || at === undefined || (u.cursor.left ?? -1) < 0;
          if (note.hidden || at === null || at === undefined) return;
          const parts = props.series.map((one) => {
            const value = one.values[at];
            return `${props.series.length > 1 ? `${one.label} ` : ''}${value === null || value === undefined ? '–' : number(value, props.digits ?? 1)}`;
          });
          note.textContent = `${clock(props.times[at] ?? 0)}: ${parts.join(', ')}`;
        },
      ],
    };
    const plot = new uPlot(options, data, element);
    const observer = new ResizeObserver(() => plot.setSize({ width: Math.max(60, element.clientWidth), height }));
    observer.observe(element);
    const scheme = matchMedia('(prefers-color-scheme: dark)');
    const redraw = () => plot.redraw(true, true);
    scheme.addEventListener('change', redraw);
    return () => {
      observer.disconnect();
      scheme.removeEventListener('change', redraw);
      plot.destroy();
    };
  }, [props.times, props.series, props.from, props.to, props.bands, props.mark, theme]);

  return (
    <div class={`chart ${props.spark ? 'spark' : ''}`}>
      <div ref={box} class="chart-plot" role="img" aria-label={props.text} style={{ height: `${height}px` }} />
      {!props.spark && <div ref={tip} class="chart-tip" hidden aria-hidden="true" />}
    </div>
  );
}
