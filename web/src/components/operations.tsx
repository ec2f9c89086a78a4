// Lists of operations: of one gateway, and of all.

import { useState } from 'preact/hooks';
import type { Operation } from '../api/types';
import { cancelOperation } from '../state/acts';
import { say } from '../state/messages';
import { useAction } from '../state/resource';
import { saveFile } from '../api/client';
import { isOpen, operationName, operationShare, operationState } from '../text/operations';
import { Button } from './button';
import { State } from './lamp';
import { Bar } from './progress';
import type { Column } from './table';
import { Time } from './time';

function Cancel({ operation, tab, onChange }: { operation: Operation; tab: number; onChange: () => void }) {
  const action = useAction();
  const [isDone, setDone] = useState(false);
  if (!isOpen(operation.state) || isDone) return null;
  const cancel = async () => {
    const answer = await action.run(() => cancelOperation(operation.id));
    if (!answer) return;
    setDone(true);
    say('resting', `${operationName(operation.kind)} is cancelled`);
    onChange();
  };
  return (
    <Button kind="row" tabIndex={tab} busy={action.busy} onClick={() => void cancel()} why={action.error?.message}>
      Cancel
    </Button>
  );
}

/** What a gateway sent with its result, as a file: a diagnostics bundle. */
function Result({ operation, tab }: { operation: Operation; tab: number }) {
  if (operation.kind !== 'diagnostics' || operation.state !== 'done' || !operation.result) return null;
  const save = () => {
    const name = `${operation.gateway_name ?? `gateway-${operation.gateway}`}-diagnostics.json`.replace(/[^\w.-]+/g, '-');
    saveFile(new Blob([JSON.stringify(operation.result, null, 2)], { type: 'application/json' }), name);
  };
  return (
    <Button kind="row" icon="download" tabIndex={tab} onClick={save}>
      Download
    </Button>
  );
}

function What({ operation }: { operation: Operation }) {
  const share = operationShare(operation);
  return (
    <div>
      <div>{operationName(operation.kind)}</div>
      {operation.text !== '' && <div class="small sec">{operation.text}</div>}
      {share !== null && isOpen(operation.state) && (
        <Bar label={operationName(operation.kind)} parts={[{ share, state: 'pending' }]} thin isProgress />
      )}
    </div>
  );
}

export function operationColumns(options: { withGateway: boolean; onChange: () => void }): Column<Operation>[] {
  const columns: (Column<Operation> | false)[] = [
    {
      key: 'state',
      title: 'State',
      render: (one) => <State state={operationState(one.state).lamp}>{operationState(one.state).word}</State>,
    },
    options.withGateway && {
      key: 'gateway',
      title: 'Gateway',
      render: (one, tab) => (
        <a class="gateway-name" href={`/gateways/${one.gateway}`} tabIndex={tab}>
          {one.gateway_name ?? one.gateway}
        </a>
      ),
    },
    { key: 'what', title: 'Operation', wrap: true, width: '50%', render: (one) => <What operation={one} /> },
    { key: 'by', title: 'By', render: (one) => <span class="sec">{one.by}</span> },
    { key: 'at', title: 'Ordered', align: 'end', render: (one) => <Time at={one.created_at} as="moment" /> },
    {
      key: 'act',
      title: <span class="vh">Actions</span>,
      align: 'end',
      pin: 'end',
      render: (one, tab) => (
        <>
          <Cancel operation={one} tab={tab} onChange={options.onChange} />
          <Result operation={one} tab={tab} />
        </>
      ),
    },
  ];
  return columns.filter((one): one is Column<Operation> => one !== false);
}
