// An upload's life as a person sees it: steps, verdicts, places, moves.
import type { Import, ImportCell, ImportColumn, ImportRow, ImportState, Verdict } from '../api/shapes';
import type { LampState } from '../api/types';
import { number, plural } from '../text/format';

export const SHEET_MAX = 32 * 1024 * 1024;

/** Why a file is not worth sending; null: it is. The server looks at the content. */
export function fileFault(name: string, size: number): string | null {
  if (!/\.(csv|xlsx)$/i.test(name)) {
    return `“${name}” is neither CSV nor XLSX. Save the sheet as one of them, then choose it again.`;
  }
  if (size === 0) return `“${name}” is empty. Nothing was sent.`;
  if (size > SHEET_MAX) {
    return `“${name}” has ${number(size / 1e6, 1)}\u202fMB; a sheet may have 33.5\u202fMB. Split it by rows.`;
  }
  return null;
}

// ---- steps ----

export type Step = 'upload' | 'columns' | 'preview' | 'apply';
export const steps: { step: Step; text: string }[] = [
  { step: 'upload', text: 'Upload' },
  { step: 'columns', text: 'Columns' },
  { step: 'preview', text: 'Preview' },
  { step: 'apply', text: 'Apply' },
];

export function stepOf(state: ImportState): Step {
  if (state === 'reading' || state === 'failed') return 'upload';
  if (state === 'mapping') return 'columns';
  return state === 'ready' ? 'preview' : 'apply';
}

const stateViews: Record<ImportState, { text: string; lamp: LampState }> = {
  reading: { text: 'Being read', lamp: 'pending' },
  mapping: { text: 'Columns to check', lamp: 'degraded' },
  ready: { text: 'Ready to apply', lamp: 'pending' },
  applying: { text: 'Running', lamp: 'pending' },
  applied: { text: 'Applied', lamp: 'up' },
  held: { text: 'On hold', lamp: 'degraded' },
  undone: { text: 'Undone', lamp: 'resting' },
  failed: { text: 'Failed', lamp: 'down' },
};
export function stateView(state: ImportState): { text: string; lamp: LampState } {
  return stateViews[state] ?? { text: state, lamp: 'unknown' };
}

export function isRunning(state: ImportState): boolean {
  return state === 'reading' || state === 'applying';
}

// ---- columns ----

/** Record fields that a column may hold; parameters come from the registry. */
export const recordFields: { target: string; text: string }[] = [
  { target: 'ignore', text: 'Do not use' },
  { target: 'serial', text: 'Serial number' },
  { target: 'name', text: 'Name' },
  { target: 'group', text: 'Group' },
  { target: 'note', text: 'Note' },
  { target: 'kind', text: 'Kind' },
];

/** What the mapping lacks; null: nothing. */
export function mappingFault(columns: ImportColumn[]): string | null {
  const used = columns.filter((column) => column.target !== 'ignore' && column.target !== '');
  if (!used.some((column) => column.target === 'serial' || column.target === 'name' || column.target === 'id')) {
    return 'No column says which gateway a row is about. Choose “Serial number” or “Name” for one of them.';
  }
  const seen = new Map<string, string>();
  for (const column of used) {
    const other = seen.get(column.target);
    if (other) return `Columns ${other} and ${column.column} hold the same. Choose “Do not use” for one of them.`;
    seen.set(column.target, column.column);
  }
  if (used.length < 2) return 'Only one column is used: there would be nothing to change.';
  return null;
}

/** The number first, as in a sheet: "10034", "10034, Port" if that is its heading. */
export function columnTitle(column: ImportColumn): string {
  const field = recordFields.find((one) => one.target === column.target);
  if (field) return field.text;
  return column.header === '' || column.header === column.target ? column.target : `${column.target}, ${column.header}`;
}

// ---- rows ----

const verdicts: Record<Verdict, { text: string; lamp: LampState }> = {
  change: { text: 'Change', lamp: 'up' },
  new: { text: 'New', lamp: 'pending' },
  same: { text: 'No change', lamp: 'unknown' },
  check: { text: 'Check', lamp: 'degraded' },
  bad: { text: 'Refused', lamp: 'down' },
};
export function verdictView(verdict: string): { text: string; lamp: LampState } {
  return verdicts[verdict as Verdict] ?? { text: verdict, lamp: 'unknown' };
}

const outcomes: Partial<Record<ImportRow['state'], { text: string; lamp: LampState }>> = {
  waiting: { text: 'Waits', lamp: 'pending' },
  applied: { text: 'Applied', lamp: 'up' },
  failed: { text: 'Failed', lamp: 'down' },
  undo: { text: 'Is put back', lamp: 'pending' },
  undone: { text: 'Put back', lamp: 'resting' },
  conflict: { text: 'Changed since', lamp: 'degraded' },
};
const moves: Partial<Record<ImportRow['move'], { text: string; lamp: LampState }>> = {
  waiting: { text: 'Move waits', lamp: 'pending' },
  ordered: { text: 'Moves', lamp: 'pending' },
  back: { text: 'Moved', lamp: 'up' },
  failed: { text: 'Not back', lamp: 'down' },
};
/** What became of a row; null: nothing was to be done. */
export function outcome(row: ImportRow): { text: string; lamp: LampState } | null {
  return (row.state === 'applied' ? moves[row.move] : undefined) ?? outcomes[row.state] ?? null;
}

export interface CellDifference {
  old: string | null; // struck through before the new one
  text: string;
  isBad: boolean;
}
export function difference(cell: ImportCell): CellDifference {
  const isBad = Boolean(cell.error);
  const old = cell.now ?? '';
  return { old: !isBad && old !== '' && old !== cell.new ? old : null, text: cell.new ?? '', isBad };
}

/** "E119, 10034: 1194 is no tunnel port. Allowed: 1190, 1191." The place first, to be found in the sheet. */
export function knowledge(row: ImportRow): { place: string; text: string }[] {
  const wrong = row.cells.filter((cell) => cell.error).map((cell) => ({
    place: `${cell.column}${row.row}, ${cell.header}`,
    text: sentence(cell.error ?? '') + (cell.allowed ? ` Allowed: ${sentence(cell.allowed)}` : ''),
  }));
  return wrong.length > 0 || !row.text ? wrong : [{ place: '', text: sentence(row.text) }];
}

export function sentence(text: string): string {
  const trimmed = text.trim();
  return trimmed === '' || /[.!?]$/.test(trimmed) ? trimmed : `${trimmed}.`;
}

/** Rows that apply would write. Refused and unchanged ones are left out. */
export function rowsToApply(sheet: Import, createUnknown: boolean): number {
  return Math.max(0, sheet.rows.good - (createUnknown ? 0 : sheet.rows.new));
}

/** Why the choice is not possible; null: it is. */
export function applyFault(sheet: Import, onlyGood: boolean, createUnknown: boolean): string | null {
  const bad = sheet.rows.bad;
  if (!onlyGood && bad > 0) return `Not possible while ${plural(bad, 'row is', 'rows are')} refused.`;
  if (rowsToApply(sheet, createUnknown) === 0) return 'There is nothing to change.';
  return null;
}

export function freeAfter(port: { now: number; after: number; free_for_you: number }): number {
  return port.free_for_you - (port.after - port.now);
}

// ---- running ----

/** Of what runs now. Moves are done when the gateways are back, or will not come. */
export function progressOf(sheet: Import): { done: number; of: number } {
  if (sheet.phase !== 'moves') return sheet.progress;
  const { done, back, failed, waiting } = sheet.moves;
  return { done: back + failed, of: done + waiting };
}

export function share(progress: { done: number; of: number }): number {
  return progress.of > 0 ? Math.min(1, progress.done / progress.of) : 0;
}

/** Seconds left at the pace so far; null: too early to say. */
export function expectedEnd(progress: { done: number; of: number }, elapsed: number): number | null {
  const part = share(progress);
  return part < 0.02 || elapsed < 1 ? null : Math.round((elapsed * (1 - part)) / part);
}

export interface Stage {
  text: string;
  lamp: LampState;
  note: string;
}
/** Moves go in stages: 1, then 10, then 5 % at a time, the next when 95 % are back. */
export function stages(moves: Import['moves'], isHeld: boolean): Stage[] {
  const total = moves.done + moves.waiting;
  const ends = [1, 11, total].map((end) => Math.min(end, total));
  const titles = ['1 gateway', '10 gateways', '5\u202f% at a time'];
  return titles.map((text, index) => {
    const from = index === 0 ? 0 : (ends[index - 1] ?? 0);
    const end = ends[index] ?? total;
    const size = end - from;
    const moved = Math.max(0, Math.min(moves.done, end) - from);
    const isNow = moves.done > from || (index === 0 && moves.stage <= 1) || moves.stage === index + 1;
    if (size <= 0) return { text, lamp: 'resting' as const, note: 'not needed' };
    if (moves.done >= end && (moves.waiting > 0 || moves.back + moves.failed >= moves.done)) {
      return { text, lamp: 'up' as const, note: `${number(size)} moved` };
    }
    if (isNow && isHeld) return { text, lamp: 'degraded' as const, note: 'on hold' };
    if (isNow) return { text, lamp: 'pending' as const, note: `${number(moved)} of ${number(size)} moved` };
    return { text, lamp: 'unknown' as const, note: 'starts when 95\u202f% are back' };
  });
}
