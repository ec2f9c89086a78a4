// Thresholds of the selected branch: its own, and those that it inherits. Each is a column of the dashboard.
import { useState } from 'preact/hooks';
import { Button } from '../../components/button';
import { Card } from '../../components/card';
import { PageHead } from '../head';
import { EmptyState, ErrorNote, Loaded } from '../../components/states';
import { Table, type Column } from '../../components/table';
import { State } from '../../components/lamp';
import { api } from '../../api/client';
import type { Threshold } from '../../api/shapes';
import type { List } from '../../api/types';
import { byPlace, conditionWords } from '../../model/dashboard';
import { allKinds, bodyOfThreshold, steadiness } from '../../model/thresholds';
import { say } from '../../state/messages';
import { useAction, useResource } from '../../state/resource';
import { query, setQuery } from '../../state/router';
import { scopeName } from '../../state/scope';
import { mayIn, scopeBranch } from '../rights';
import { findGroup } from '../../state/fleet';
import { usePageTitle } from '../../state/title';
import { plural } from '../../text/format';
import { ThresholdEditor } from './editor';

function Conditions({ threshold }: { threshold: Threshold }) {
  const { warning, error, unit } = threshold;
  if (!warning && !error) return <span class="dim">column only</span>;
  return (
    <span class="conditions">
      {warning && <State state="degraded">{conditionWords(warning, unit, threshold.stat)}</State>}
      {error && <State state="down">{conditionWords(error, unit, threshold.stat)}</State>}
      {steadiness(threshold) !== '' && <span class="dim">{steadiness(threshold)}</span>}
    </span>
  );
}

function kindsText(threshold: Threshold): string {
  if (threshold.gateway_types.length === allKinds.length) return 'all';
  return allKinds.filter((one) => threshold.gateway_types.includes(one.kind)).map((one) => one.text).join(', ');
}

function columnsOf(more: Column<Threshold>[]): Column<Threshold>[] {
  return [
    { key: 'label', title: 'Label', pin: 'start', render: (row) => <b class="medium">{row.label}</b> },
    { key: 'stat', title: 'Stat', render: (row) => <span class="mono">{row.stat_label ? `${row.stat}/${row.stat_label}` : row.stat}</span> },
    { key: 'when', title: 'Conditions', wrap: true, render: (row) => <Conditions threshold={row} /> },
    { key: 'kinds', title: 'Gateways', render: kindsText },
    { key: 'group', title: 'Dashboard group', align: 'end', render: (row) => row.dashboard_group },
    { key: 'order', title: 'Order', align: 'end', render: (row) => row.order },
    ...more,
  ];
}

/** Removing asks nothing: it can be undone, with the same members at the same place. */
function useRemoval(reload: () => void) {
  const action = useAction();
  const restore = (threshold: Threshold) => void action.run(async () => {
    await api.post('/thresholds', bodyOfThreshold(threshold));
    say('up', `Threshold “${threshold.label}” is back`);
    reload();
  });
  const remove = (threshold: Threshold) => void action.run(async () => {
    await api.delete(`/thresholds/${threshold.id}`);
    say('resting', `Threshold “${threshold.label}” removed`, { label: 'Undo', run: () => restore(threshold) });
    reload();
  });
  return { action, remove };
}

export default function Thresholds() {
  usePageTitle('Thresholds');
  const branch = scopeBranch();
  const name = scopeName.value;
  const [editing, setEditing] = useState<Threshold | 'new' | null>(query.value.get('add') ? 'new' : null);
  const list = useResource<Threshold[]>(
    branch && `thresholds ${branch.tenant} ${branch.group}`,
    async (signal) => (await api.get<List<Threshold>>('/thresholds', { query: { ...branch }, signal })).items,
    (event) => event.kind === 'threshold',
  );
  const { action, remove } = useRemoval(list.reload);
  const canEdit = mayIn('operate', branch);
  const close = () => {
    setEditing(null);
    setQuery({ add: null });
  };

  if (editing !== null && branch !== null) {
    return <ThresholdEditor branch={branch} threshold={editing === 'new' ? null : editing} onClose={close} onSaved={() => { close(); list.reload(); }} />;
  }
  const actions: Column<Threshold> = {
    key: 'actions', title: <span class="vh">Actions</span>, pin: 'end', align: 'end',
    render: (row, tab) => (
      <>
        <Button kind="row" tabIndex={tab} onClick={() => setEditing(row)} label={`Edit ${row.label}`}>Edit</Button>
        <Button kind="row" tabIndex={tab} onClick={() => remove(row)} label={`Remove ${row.label}`}>Remove</Button>
      </>
    ),
  };
  const from: Column<Threshold> = { key: 'from', title: 'From', render: (row) => findGroup(row.group ?? '')?.group.name ?? 'a group above' };
  return (
    <>
      <PageHead title={`Thresholds of ${name}`}
        note="Each is a column of the dashboard. With a condition it raises an event when a gateway meets it.">
        {canEdit && <Button kind="primary" icon="plus" onClick={() => setEditing('new')}>Add a threshold</Button>}
      </PageHead>
      {action.error && <ErrorNote error={action.error} title="The threshold was not changed." />}
      <Loaded resource={list} what="Thresholds" lines={6}>
        {(all) => {
          const sorted = [...all].sort(byPlace);
          const own = sorted.filter((one) => !one.inherited);
          const above = sorted.filter((one) => one.inherited);
          return (
            <div class="stack-sections">
              <Card title="Set here" more={own.length > 0 && plural(own.length, 'threshold')} flush>
                {own.length > 0
                  ? <Table label={`Thresholds of ${name}`} keys columns={canEdit ? columnsOf([actions]) : columnsOf([])} rows={own}
                      rowKey={(row) => row.id} {...(canEdit ? { onOpen: setEditing } : {})} />
                  : <EmptyState icon="sliders" title={`No thresholds of ${name} itself`} actions={canEdit && (
                      <Button onClick={() => setEditing('new')}>Add a threshold</Button>)}>
                      {above.length > 0 ? 'Those below are inherited. One with the same label here replaces them.'
                        : 'A threshold shows a stat of each gateway as a column, and tells when it is too low, too high, or missing.'}
                    </EmptyState>}
              </Card>
              {above.length > 0 && (
                <Card title="Inherited" more="from the groups above" flush>
                  <Table label="Inherited thresholds" columns={columnsOf([from])} rows={above} rowKey={(row) => row.id} />
                </Card>
              )}
            </div>
          );
        }}
      </Loaded>
    </>
  );
}
