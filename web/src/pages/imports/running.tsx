// A sheet that is applied: how far it is, moves in stages, hold and go on, undo, the result.
import { Button } from '../../components/button';
import { Card } from '../../components/card';
import { Lamp, State } from '../../components/lamp';
import { Bar } from '../../components/progress';
import { ErrorNote, Note } from '../../components/states';
import { Time } from '../../components/time';
import { api } from '../../api/client';
import type { Import } from '../../api/shapes';
import type { LampState } from '../../api/types';
import { expectedEnd, progressOf, share, stages, stateView } from '../../model/sheet';
import { now } from '../../state/now';
import { useAction } from '../../state/resource';
import { number, percent, plural, roughly } from '../../text/format';
import { AppliedRows, ResultButton } from './preview';

function phaseText(sheet: Import): string {
  const words: Record<string, string> = {
    judging: 'Rows are checked once more', rows: 'Rows are written', moves: 'Gateways move to their ports', undo: 'Rows are put back',
  };
  return words[sheet.phase] ?? stateView(sheet.state).text;
}

function Progress({ sheet }: { sheet: Import }) {
  const progress = progressOf(sheet);
  const { done, of } = progress;
  const left = sheet.state === 'applying' && sheet.phase !== 'moves' ? expectedEnd(progress, now.value - sheet.changed_at) : null;
  const state: LampState = sheet.state === 'held' ? 'degraded' : 'pending';
  return (
    <div class="stack" role="status">
      <div class="row between">
        <b class="medium">{phaseText(sheet)}</b>
        {of > 0 && <span class="dim">{number(done)} of {number(of)}{sheet.phase === 'moves' && ' back'}, {percent(share(progress))}</span>}
      </div>
      <Bar isProgress label={phaseText(sheet)} parts={[{ share: share(progress), state }]} />
      {left !== null && <p class="dim small">ends in about {roughly(left)}</p>}
    </div>
  );
}

function Stages({ sheet }: { sheet: Import }) {
  const { moves } = sheet;
  if (moves.done + moves.waiting === 0) return null;
  return (
    <>
      <ol class="stages">
        {stages(moves, sheet.state === 'held').map((stage) => (
          <li key={stage.text}>
            <Lamp state={stage.lamp} />
            <span>{stage.text}<br /><span class="dim small">{stage.note}</span></span>
          </li>
        ))}
      </ol>
      <ul class="counts">
        <li><State state="up" plain>{number(moves.back)} back on their new port</State></li>
        <li><State state="pending" plain>{number(Math.max(0, moves.done - moves.back - moves.failed))} on the way</State></li>
        {moves.failed > 0 && <li><State state="down" plain>{number(moves.failed)} did not come back</State></li>}
        <li><State state="unknown" plain>{number(moves.waiting)} to come</State></li>
      </ul>
    </>
  );
}

function Outcome({ sheet }: { sheet: Import }) {
  const { rows } = sheet;
  const parts: [LampState, string][] = [['up', plural(rows.applied, 'row applied', 'rows applied')]];
  if (rows.failed > 0) parts.push(['down', plural(rows.failed, 'row failed', 'rows failed')]);
  if (rows.conflicts > 0) parts.push(['degraded', `${plural(rows.conflicts, 'row')} changed since, left as they are`]);
  if (rows.bad > 0) parts.push(['unknown', `${number(rows.bad)} refused`]);
  if (rows.unchanged > 0) parts.push(['unknown', `${number(rows.unchanged)} without change`]);
  return <ul class="counts">{parts.map(([state, text]) => <li key={text}><State state={state} plain>{text}</State></li>)}</ul>;
}

export function Running({ sheet, onSheet }: { sheet: Import; onSheet: (sheet: Import) => void }) {
  const action = useAction();
  const act = (what: 'hold' | 'resume' | 'undo') => void action.run(async () => onSheet(await api.post<Import>(`/imports/${sheet.id}/${what}`)));
  const view = stateView(sheet.state);
  const isOver = sheet.state === 'applied' || sheet.state === 'undone';
  const canUndo = (sheet.state === 'applied' || sheet.state === 'held') && sheet.undo_until !== null && sheet.undo_until > now.value;
  return (
    <div class="stack-sections">
      <Card title={sheet.filename} end={<State state={view.lamp}>{view.text}</State>} footer={
        <>
          <span class="grow">
            {isOver || sheet.state === 'failed'
              ? canUndo && sheet.undo_until !== null && <>Can be undone until <Time at={sheet.undo_until} as="moment" />.</>
              : 'You can leave this page. It is under Spreadsheet upload.'}
          </span>
          <ResultButton sheet={sheet} />
          {sheet.state === 'applying' && <Button busy={action.busy} onClick={() => act('hold')}>Hold</Button>}
          {sheet.state === 'held' && <Button kind="primary" busy={action.busy} onClick={() => act('resume')}>Go on</Button>}
          {canUndo && <Button kind="danger-quiet" busy={action.busy} onClick={() => act('undo')}>Undo</Button>}
        </>
      }>
        <div class="stack">
          {sheet.text !== '' && <Note state={sheet.state === 'failed' ? 'down' : sheet.state === 'held' ? 'degraded' : 'info'} title={sheet.text} />}
          {!isOver && sheet.state !== 'failed' && <Progress sheet={sheet} />}
          <Outcome sheet={sheet} />
          <Stages sheet={sheet} />
          {action.error && <ErrorNote error={action.error} title="It was not done." />}
        </div>
      </Card>
      {sheet.rows.total > 0 && <AppliedRows sheet={sheet} />}
    </div>
  );
}
