// Another pool for a port: what would clash is listed, and drawn, before anything changes.
import { useEffect, useState } from 'preact/hooks';
import { Button } from '../../components/button';
import { Card, Facts } from '../../components/card';
import { Checkbox, TextField } from '../../components/field';
import { Lamp, State } from '../../components/lamp';
import { ErrorNote, Note, Skeleton } from '../../components/states';
import { api, asApiError, isAbort, saveFile, type ApiError } from '../../api/client';
import type { PoolConflict, PoolPlan } from '../../api/shapes';
import type { LampState, TunnelPort } from '../../api/types';
import { networkText, nextFree, overlap, parseNetwork, poolFault, slots, strips } from '../../model/pools';
import { say } from '../../state/messages';
import { useAction } from '../../state/resource';
import { number, plural } from '../../text/format';

const REST = 350; // ms without typing before the preview is asked for

function usePlan(port: number, pool: string | null): { plan: PoolPlan | null; error: ApiError | null } {
  const [state, setState] = useState<{ plan: PoolPlan | null; error: ApiError | null }>({ plan: null, error: null });
  useEffect(() => {
    setState({ plan: null, error: null });
    if (pool === null) return undefined;
    const abort = new AbortController();
    const timer = setTimeout(() => {
      api.post<PoolPlan>('/tunnel/pools/preview', { port, pool }, { signal: abort.signal }).then(
        (plan) => setState({ plan, error: null }),
        (error: unknown) => {
          if (!isAbort(error)) setState({ plan: null, error: asApiError(error) });
        },
      );
    }, REST);
    return () => {
      clearTimeout(timer);
      abort.abort();
    };
  }, [port, pool]);
  return state;
}

// ---- what clashes ----

function Finding({ state, title, children }: { state: LampState; title: string; children: preact.ComponentChildren }) {
  return (
    <li>
      <Lamp state={state} />
      <div><b class="medium">{title}</b><p>{children}</p></div>
    </li>
  );
}

const names = (list: PoolConflict[]) => list.slice(0, 5).map((one) => one.name ?? '').join(', ');

function download(conflicts: PoolConflict[], pool: string): void {
  const rows = conflicts.filter((one) => one.gateway).map((one) => `${one.name ?? ''},${one.kind},${one.prefix ?? ''}`);
  saveFile(new Blob([`gateway,network,prefix\r\n${rows.join('\r\n')}\r\n`], { type: 'text/csv' }), `clashes-${pool.replace('/', '-')}.csv`);
}

function GatewayFindings({ plan, kind, title }: { plan: PoolPlan; kind: 'lan' | 'wan'; title: string }) {
  const found = plan.conflicts.filter((one) => one.kind === kind);
  if (found.length === 0) return <Finding state="up" title={title}>No gateway of this port has a part of this range there.</Finding>;
  return (
    <Finding state="down" title={title}>
      {plural(found.length, 'gateway', 'gateways')} {found.length === 1 ? 'has' : 'have'} a part of this range on {kind === 'lan' ? 'the LAN' : 'the WAN'}: {names(found)}
      {found.length > 5 && ` and ${number(found.length - 5)} more`}. Their web pages would not open.{' '}
      <button type="button" class="link" onClick={() => download(found, plan.pool)}>Download list</button>
    </Finding>
  );
}

function Findings({ plan, port }: { plan: PoolPlan; port: TunnelPort }) {
  const pools = plan.conflicts.filter((one) => one.kind === 'pool');
  const small = plan.conflicts.find((one) => one.kind === 'too-small');
  return (
    <ul class="findings">
      <GatewayFindings plan={plan} kind="lan" title="Gateway LANs" />
      <GatewayFindings plan={plan} kind="wan" title="Gateway WANs" />
      {pools.length > 0
        ? <Finding state="down" title="Other tunnel ports">Overlaps {pools.map((one) => `${one.port} (${one.prefix})`).join(', ')}. Choose another range.</Finding>
        : <Finding state="up" title="Other tunnel ports">No overlap.</Finding>}
      <Finding state="up" title="Server networks">No overlap possible. Tunnels live in a network of their own.</Finding>
      {small
        ? <Finding state="down" title="Places">Too small: it holds {number(small.slots ?? 0)}, and gateways have places up to {number(small.used ?? 0)}. Move them first.</Finding>
        : <Finding state="up" title="Places">{number(plan.limit)} places. All {number(port.taken ?? port.gateways.places)} gateways keep their place.</Finding>}
    </ul>
  );
}

function Strips({ ports, port, wanted, isClash }: { ports: TunnelPort[]; port: TunnelPort; wanted: string; isClash: boolean }) {
  const rows = strips(ports, { port: port.port, wanted, clash: isClash });
  const words = { free: 'free', pool: '', now: ' now', wanted: ' new', clash: ' new, clashes' };
  return (
    <div class="strips">
      {rows.map((row) => (
        <div class="strip" key={row.title}>
          <span class="mono strip-title">{row.title}</span>
          <ul>
            {row.blocks.map((block) => (
              <li key={block.text} class={`block ${block.kind}`}>
                <b>{block.port ?? ''}{words[block.kind]}</b>
                <span class="mono">{block.text}</span>
              </li>
            ))}
          </ul>
        </div>
      ))}
    </div>
  );
}

// ---- the form ----

/** The nearest of the same size that no port uses and no listed gateway has. */
function suggestion(pool: string, ports: TunnelPort[], port: TunnelPort, plan: PoolPlan | null): string | null {
  const wanted = parseNetwork(pool);
  if (!wanted) return null;
  const taken = [
    ...ports.filter((one) => one.port !== port.port).map((one) => one.pool),
    ...(plan?.conflicts ?? []).map((one) => one.prefix ?? ''),
  ].map(parseNetwork).filter((one) => one !== null);
  if (!taken.some((one) => overlap(one, wanted))) return null;
  const free = nextFree(wanted, taken);
  return free && networkText(free);
}

export function PoolEditor(props: { port: TunnelPort; ports: TunnelPort[]; onClose: () => void; onChanged: () => void }) {
  const { port, ports } = props;
  const [pool, setPool] = useState(port.pool);
  const [isForced, setForced] = useState(false);
  const action = useAction();
  const fault = poolFault(pool);
  const isSame = pool.trim() === port.pool;
  const { plan, error } = usePlan(port.port, fault || isSame ? null : pool.trim());
  const count = plan ? plan.conflicting_pools + (plan.conflicts.some((one) => one.kind === 'too-small') ? 1 : 0) : 0;
  const gateways = plan?.conflicting_gateways ?? 0;
  const free = suggestion(pool, ports, port, plan);
  const network = parseNetwork(pool);
  const why = isSame ? 'It is the pool that the port has now' : fault ?? (!plan ? 'Wait for the preview'
    : count > 0 ? `Solve ${plural(count, 'conflict')} first` : gateways > 0 && !isForced ? 'Gateways clash with it' : undefined);
  const change = () => void action.run(async () => {
    const done = await api.put<PoolPlan>('/tunnel/pools', { port: port.port, pool: pool.trim(), ...(isForced ? { force: true } : {}) });
    say('pending', `Port ${port.port}: ${done.pool} from the next start of amm-tunneld on`);
    props.onChanged();
    props.onClose();
  });
  return (
    <div class="pool-layout">
      <Card title={`Change the pool of port ${port.port}`} footer={
        <>
          <Button onClick={props.onClose}>Cancel</Button>
          <span class="at-end">{why ?? ''}</span>
          <Button kind="primary" busy={action.busy} why={why} onClick={change}>Change pool</Button>
        </>
      }>
        <form class="stack" onSubmit={(event) => { event.preventDefault(); if (!why && !action.busy) change(); }}>
          <TextField label="New pool" mono value={pool} autofocus maxLength={18} onInput={(text) => { setPool(text); setForced(false); }}
            error={fault ?? (gateways > 0 ? `${plural(gateways, 'gateway uses', 'gateways use')} part of this range.` : count > 0 ? 'It cannot be taken: see the preview.' : null)} />
          {free !== null && (
            <Note state="info" title={`${free} is free of what is known to clash.`} action={<Button size="small" onClick={() => setPool(free)}>Use it</Button>}>
              <p>The nearest range of that size that no port uses.</p>
            </Note>
          )}
          <Facts rows={[
            ['Topology', port.topology === 'subnet' ? 'subnet, 1 address per gateway' : 'net30, 4 addresses per gateway'],
            network && !fault ? ['Room for', plural(Math.min(2047, Math.max(0, slots(network, port.topology))), 'gateway')] : null,
            ['When', plan?.text ?? 'from the next start of amm-tunneld on; until then everything stays as it is'],
          ]} />
          {gateways > 0 && count === 0 && (
            <Checkbox label="Take it all the same" hint="The gateways that clash keep their tunnel, but their web pages do not open." checked={isForced} onChange={setForced} />
          )}
          {action.error && <ErrorNote error={action.error} title="The pool was not changed." />}
        </form>
      </Card>
      <Card title="Preview" end={plan && <State state={count + gateways > 0 ? 'down' : 'up'}>{count + gateways > 0 ? plural(count + gateways, 'conflict') : 'No conflict'}</State>}>
        <Strips ports={ports} port={port} wanted={isSame || fault ? port.pool : pool} isClash={count + gateways > 0} />
        {error && <ErrorNote error={error} title="The preview was not made." />}
        {plan ? <Findings plan={plan} port={port} /> : !error && (isSame || fault
          ? <p class="dim">Enter another range, and see what it would clash with.</p> : <Skeleton lines={4} label="Loading: preview" />)}
      </Card>
    </div>
  );
}
