// Parameters: desired, reported, whether they agree, who changed what; and changing them.

import { useMemo, useState } from 'preact/hooks';
import { api } from '../../api/client';
import type { GatewayWhole, List, ParameterChange, ParameterKind, Parameters as Answer } from '../../api/types';
import { Button, Chip, Segments } from '../../components/button';
import { Card } from '../../components/card';
import { SearchBox, Select, TextField } from '../../components/field';
import { State } from '../../components/lamp';
import { EmptyState, ErrorNote, Loaded, Note } from '../../components/states';
import { None, Table, type Column } from '../../components/table';
import { Time } from '../../components/time';
import { checkInNow } from '../../state/acts';
import { say } from '../../state/messages';
import { useAction, useResource, type Resource } from '../../state/resource';
import { allowedOf, parameterRows, problemOf, publicNumber, valueText, valueToSend, type ParameterRow } from '../../text/parameters';
import { number, plural } from '../../text/format';

const FEW = 12; // rows before "all"

function Editor({ row, kind, gateway, values, onClose }: { row: ParameterRow; kind: ParameterKind; gateway: GatewayWhole; values: Resource<Answer>; onClose: () => void }) {
  const before = row.desired?.value ?? row.reported ?? kind.initial;
  const [text, setText] = useState(kind.secret || before === undefined || before === null || typeof before === 'object' ? '' : String(before));
  const [isTried, setTried] = useState(false);
  const action = useAction();
  const allowed = allowedOf(kind.allowed);
  const problem = problemOf(kind, text);
  const shown = isTried && problem ? problem : action.error?.message;
  const save = async (event: Event) => {
    event.preventDefault();
    setTried(true);
    if (problem) return;
    const answer = await action.run(() => api.patch<Answer>(`/gateways/${gateway.id}/parameters`, { values: { [row.id]: valueToSend(kind, text, before) } }));
    if (!answer) return;
    values.set(answer);
    say('pending', `${row.title} goes to ${gateway.name} with its next check-in`, { label: 'Check in now', run: () => void checkInNow(gateway) });
    onClose();
  };
  const hint = `${kind.help} Allowed: ${kind.allowed}.${kind.activation === 'reboot' ? ' In use at the next check-in.' : ''}`;
  return (
    <form
      class="editor"
      onSubmit={save}
      onKeyDown={(event) => {
        event.stopPropagation();
        if (event.key === 'Escape') onClose();
      }}
    >
      {allowed.type === 'choice' ? (
        <Select label={row.title} value={text} options={[...(allowed.values.includes(text) ? [] : [{ value: text, text: 'Choose' }]), ...allowed.values.map((one) => ({ value: one, text: one }))]} onChange={setText} hint={hint} error={shown} />
      ) : (
        <TextField label={row.title} value={text} onInput={setText} autofocus suffix={allowed.type === 'number' ? allowed.unit : ''} inputMode={allowed.type === 'number' ? 'decimal' : 'text'} hint={hint} error={shown} />
      )}
      <div class="row wrap">
        <Button type="submit" kind="primary" size="small" busy={action.busy}>
          Save
        </Button>
        <Button size="small" kind="quiet" onClick={onClose}>
          Leave it
        </Button>
      </div>
    </form>
  );
}

function Agreement({ row, failed }: { row: ParameterRow; failed: boolean }) {
  if (!row.desired) return <None />;
  if (row.pending) return <State state={failed ? 'down' : 'pending'} plain>{failed ? 'Not taken' : 'Pending (sync to device)'}</State>;
  return <State state="up" plain>In Sync</State>;
}

function By({ row }: { row: ParameterRow }) {
  if (!row.desired) return <None />;
  const from = { template: ', by its group', gateway: ', on the gateway', own: '' }[row.desired.from];
  return (
    <span class="sec">
      {row.desired.by}, <Time at={row.desired.at} as="moment" />
      {from}
    </span>
  );
}

function Changes({ gateway, revision }: { gateway: GatewayWhole; revision: number }) {
  const changes = useResource(`history ${gateway.id} ${revision}`, (signal) => api.get<List<ParameterChange>>(`/gateways/${gateway.id}/parameters/history`, { query: { limit: 50 }, signal }));
  const columns: Column<ParameterChange>[] = [
    { key: 'at', title: 'Time', render: (one) => <Time at={one.at} as="moment" /> },
    { key: 'what', title: 'Parameter', wrap: true, render: (one) => one.name || one.parameter },
    { key: 'old', title: 'Before', wrap: true, render: (one) => (one.old === null ? <None /> : one.old) },
    { key: 'new', title: 'After', wrap: true, render: (one) => (one.new === null ? <None /> : <b>{one.new}</b>) },
    { key: 'by', title: 'By', wrap: true, render: (one) => `${one.local ? 'on the gateway, ' : ''}${one.by}` },
  ];
  return (
    <Loaded resource={changes} what="The changes">
      {(data) =>
        data.items.length === 0 ? (
          <EmptyState icon="clock" title="Nothing was changed yet">Changes from here and on the gateway stand here, with who made them.</EmptyState>
        ) : (
          <Table label="Changes of parameters" columns={columns} rows={data.items} rowKey={(one) => one.id} />
        )
      }
    </Loaded>
  );
}

export function Parameters({ gateway, mayOperate }: { gateway: GatewayWhole; mayOperate: boolean }) {
  const [part, setPart] = useState<'values' | 'changes'>('values');
  const [text, setText] = useState('');
  const [pendingFirst, setPendingFirst] = useState(true);
  const [isAll, setAll] = useState(false);
  const [editing, setEditing] = useState<number | null>(null);
  const revert = useAction();
  const values = useResource(
    `parameters ${gateway.id}`,
    (signal) => api.get<Answer>(`/gateways/${gateway.id}/parameters`, { signal }),
    (event) => event.kind === 'gateway' && event.data['id'] === gateway.id,
  );
  const kinds = useResource('parameter kinds', (signal) => api.get<List<ParameterKind>>('/parameters', { signal }));
  const can = gateway.requirements['settings'];
  const rows = useMemo(
    () => parameterRows(values.data?.items ?? [], can?.supported === false ? [] : (kinds.data?.items ?? []), text, pendingFirst),
    [values.data, kinds.data, text, pendingFirst, can?.supported],
  );
  const shown = isAll || text !== '' ? rows : rows.slice(0, FEW);
  const pending = rows.filter((one) => one.pending).length;
  const failed = values.data?.settings_error !== undefined;
  const takeBack = async (row: ParameterRow) => {
    const answer = await revert.run(() => api.patch<Answer>(`/gateways/${gateway.id}/parameters`, { values: { [row.id]: null } }));
    if (!answer) return;
    values.set(answer);
    const before = row.desired?.value;
    say('resting', `${row.title}: the setting is taken back`, {
      label: 'Undo',
      run: () => void api.patch<Answer>(`/gateways/${gateway.id}/parameters`, { values: { [row.id]: before } }).then(values.set, () => undefined),
    });
  };
  const retry = async () => {
    const answer = await revert.run(() => api.post<Answer>(`/gateways/${gateway.id}/parameters/retry`));
    if (answer) values.set(answer);
  };

  const columns: Column<ParameterRow>[] = [
    { key: 'id', title: 'MSCIID', align: 'end', width: '4.5rem', render: (row) => (publicNumber(row.id) === null ? <None /> : <span class="mono sec">{publicNumber(row.id)}</span>) },
    {
      key: 'name',
      title: 'Parameter',
      wrap: true,
      render: (row) =>
        editing === row.id && row.kind ? (
          <Editor row={row} kind={row.kind} gateway={gateway} values={values} onClose={() => setEditing(null)} />
        ) : (
          <span title={row.kind?.help}>{row.title}</span>
        ),
    },
    { key: 'desired', title: 'Desired', wrap: true, render: (row) => (row.desired ? row.pending ? <b>{valueText(row.desired.value, row.kind?.unit)}</b> : valueText(row.desired.value, row.kind?.unit) : <None />) },
    { key: 'reported', title: 'Reported', wrap: true, render: (row) => (row.reported === undefined ? <None /> : valueText(row.reported, row.kind?.unit)) },
    { key: 'state', title: 'State', render: (row) => <Agreement row={row} failed={failed} /> },
    { key: 'by', title: 'Changed by', wrap: true, render: (row) => <By row={row} /> },
    {
      key: 'act',
      title: <span class="vh">Actions</span>,
      align: 'end',
      render: (row, tab) =>
        mayOperate &&
        row.kind?.settable && (
          <>
            {row.desired?.from === 'own' && <Button kind="row" tabIndex={tab} onClick={() => void takeBack(row)}>Revert</Button>}
            <Button kind="row" tabIndex={tab} onClick={() => setEditing(row.id)}>Change</Button>
          </>
        ),
    },
  ];

  return (
    <Card
      title="Parameters"
      span={12}
      flush
      more={part === 'values' && values.data ? `${number(shown.length)} of ${number(rows.length)}` : undefined}
      end={
        <>
          {part === 'values' && <SearchBox label="MSCIID or name" value={text} onInput={setText} />}
          {part === 'values' && <Chip on={pendingFirst} pressed={pendingFirst} onClick={() => setPendingFirst(!pendingFirst)}>Pending first</Chip>}
          {pending > 0 && mayOperate && <Button onClick={() => void checkInNow(gateway)}>Apply {plural(pending, 'change')} now</Button>}
          <Segments label="Part" value={part} options={[{ value: 'values', text: 'Values' }, { value: 'changes', text: 'Changes' }]} onChange={setPart} />
        </>
      }
      footer={part === 'values' && !isAll && text === '' && rows.length > FEW ? <Button size="small" onClick={() => setAll(true)}>Show all {number(rows.length)}</Button> : undefined}
    >
      {values.data?.settings_error !== undefined && (
        <Note state="down" title="The gateway could not take its settings" action={mayOperate && <Button size="small" onClick={() => void retry()}>Offer again</Button>}>
          <p>{values.data.settings_error}</p>
        </Note>
      )}
      {revert.error && <ErrorNote error={revert.error} title="The setting was not changed." />}
      {part === 'changes' ? (
        <Changes gateway={gateway} revision={values.data?.revision ?? 0} />
      ) : (
        <Loaded resource={values} what="The parameters" lines={6}>
          {() =>
            rows.length === 0 ? (
              <EmptyState icon="sliders" title={text === '' ? 'No parameters' : 'No parameter is named so'} actions={text !== '' && <Button onClick={() => setText('')}>Clear the search</Button>}>
                {text === '' ? (can?.why ?? 'They come with the first check-in.') : 'The search looks at numbers and names.'}
              </EmptyState>
            ) : (
              <Table label="Parameters" columns={columns} rows={shown} rowKey={(row) => String(row.id)} keys onOpen={mayOperate ? (row) => row.kind?.settable && setEditing(row.id) : undefined} />
            )
          }
        </Loaded>
      )}
    </Card>
  );
}
