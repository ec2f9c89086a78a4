// What each column of the sheet means. The server has guessed from the headings; a person has the last word.
import { useState } from 'preact/hooks';
import { Button } from '../../components/button';
import { Card } from '../../components/card';
import { Icon } from '../../components/icon';
import { Badge } from '../../components/lamp';
import { ErrorNote, Note } from '../../components/states';
import { Table, type Column } from '../../components/table';
import { api } from '../../api/client';
import type { Import, ImportColumn } from '../../api/shapes';
import type { List, ParameterKind } from '../../api/types';
import { mappingFault, recordFields } from '../../model/sheet';
import { useAction, useResource } from '../../state/resource';

function TargetSelect(props: { column: ImportColumn; parameters: readonly ParameterKind[]; tab: number; onChange: (target: string) => void }) {
  const { column } = props;
  const isKnown = recordFields.some((one) => one.target === column.target) || props.parameters.some((one) => String(one.id) === column.target);
  return (
    <span class="select">
      <select aria-label={`Column ${column.column}, ${column.header || 'no heading'}: holds`} tabIndex={props.tab} value={column.target}
        onChange={(event) => props.onChange(event.currentTarget.value)}>
        {!isKnown && <option value={column.target}>{column.target}</option>}
        <optgroup label="Record">
          {recordFields.map((one) => <option key={one.target} value={one.target}>{one.text}</option>)}
        </optgroup>
        <optgroup label="Parameters">
          {props.parameters.map((one) => <option key={one.id} value={String(one.id)}>{`${one.id}, ${one.name}`}</option>)}
        </optgroup>
      </select>
      <Icon name="down" />
    </span>
  );
}

export function Mapping({ sheet, onDone }: { sheet: Import; onDone: (sheet: Import) => void }) {
  const [columns, setColumns] = useState(sheet.columns);
  const action = useAction();
  const parameters = useResource('parameters', async (signal) => (await api.get<List<ParameterKind>>('/parameters', { signal })).items);
  const settable = parameters.data?.filter((one) => one.settable && !one.secret) ?? [];
  const fault = mappingFault(columns);
  const change = (letter: string, target: string) =>
    setColumns(columns.map((one) => (one.column === letter ? { ...one, target, sure: true } : one)));
  const use = () => void action.run(async () => {
    const body = { columns: columns.map(({ column, target }) => ({ column, target })) };
    onDone(await api.put<Import>(`/imports/${sheet.id}/mapping`, body));
  });
  const cells: Column<ImportColumn>[] = [
    { key: 'column', title: 'Column', width: '5rem', render: (row) => <span class="mono">{row.column}</span> },
    { key: 'header', title: 'Heading in the sheet', render: (row) => row.header || <span class="dim">none</span> },
    { key: 'target', title: 'Holds', width: '20rem', render: (row, tab) => (
      <TargetSelect column={row} parameters={settable} tab={tab} onChange={(target) => change(row.column, target)} />) },
    { key: 'sure', title: 'Recognised', render: (row) => row.target === 'ignore' ? <span class="dim">not used</span>
      : row.sure ? 'by its heading' : <Badge state="degraded">a guess, look at it</Badge> },
  ];
  return (
    <Card title="Columns" more={`${sheet.columns.length} in ${sheet.filename}`} flush footer={
      <>
        <span class="grow">{fault ?? 'Nothing is changed yet: the next step shows what each row would do.'}</span>
        <Button kind="primary" busy={action.busy} why={fault ?? undefined} onClick={use}>Use these columns</Button>
      </>
    }>
      {action.error && <ErrorNote error={action.error} title="The columns were not taken." />}
      {sheet.text !== '' && <Note state="info" title={sheet.text} />}
      <Table label="Columns of the sheet" columns={cells} rows={columns} rowKey={(row) => row.column} />
    </Card>
  );
}
