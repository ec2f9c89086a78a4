import type { LampState } from '../api/types';
import { percent } from '../text/format';

/** Parts of a whole in one bar, 0 to 1 each; what is left stays empty. */
export function Bar(props: {
  label: string;
  parts: readonly { share: number; state?: LampState | 'accent'; series?: 1 | 2 | 3 | 4 }[];
  thin?: boolean;
  /** It moves on: a progress bar, not a picture. */
  isProgress?: boolean;
}) {
  const done = props.parts.reduce((sum, one) => sum + one.share, 0);
  const role = props.isProgress
    ? { role: 'progressbar' as const, 'aria-valuemin': 0, 'aria-valuemax': 100, 'aria-valuenow': Math.round(done * 100), 'aria-valuetext': percent(done) }
    : { role: 'img' as const };
  return (
    <div class={`bar ${props.thin ? 'thin' : ''}`} aria-label={props.label} {...role}>
      {props.parts.map((one, i) => (
        <i key={i} class={one.series ? `series-${one.series}` : (one.state ?? 'accent')} style={{ width: `${Math.max(0, Math.min(1, one.share)) * 100}%` }} />
      ))}
    </div>
  );
}
