// The gateway tree on the left: search in place, saved filters, lamps and counts, context menu.

import { useEffect, useRef, useState } from 'preact/hooks';
import { Button, Chip } from '../components/button';
import { Dialog } from '../components/dialog';
import { SearchBox, TextField } from '../components/field';
import { Icon } from '../components/icon';
import { checkinWords, Lamp, tunnelWords } from '../components/lamp';
import { MenuList, type MenuItem } from '../components/menu';
import { ErrorNote, Skeleton } from '../components/states';
import { VirtualTree, type TreeItem } from '../components/tree';
import type { GatewayCompact, TreeGroup } from '../api/types';
import { checkInNow, openAcemanager, orderReboot } from '../state/acts';
import {
  closeGroup, loadTree, openGroup, revealGroup, searchTree, tenant, tree, treeError, treeFilter, treeMatches, treeRows,
  treeSearchError, treeText,
} from '../state/fleet';
import { preferences, setPreferences, type SavedFilter } from '../state/preferences';
import { navigate } from '../state/router';
import { gatewayGroup, scopeGroup, selectedGateway, selectGroup } from '../state/scope';
import { may } from '../state/session';
import { now } from '../state/now';
import { reconnectStream, streamState } from '../state/stream';
import { number, plural, roughly } from '../text/format';
import type { TreeRow } from '../state/tree';

type Row = TreeRow & TreeItem;

const builtIn: SavedFilter[] = [
  { name: 'Tunnel down', query: 'tunnel=down' },
  { name: 'Late', query: 'late=true' },
];

function nameOf(row: TreeRow): string {
  return row.kind === 'group' ? row.group.name : row.kind === 'gateway' ? row.gateway.name : row.text;
}

function describe(row: TreeRow): string {
  if (row.kind === 'note') return row.text;
  if (row.kind === 'gateway') {
    const { name, lamps } = row.gateway;
    return `${name}, check-in ${checkinWords[lamps.checkin]}, tunnel ${tunnelWords[lamps.tunnel]}`;
  }
  const down = row.group.tunnel.down;
  return `${row.group.name}, ${plural(row.group.count, 'gateway')}${down > 0 ? `, ${number(down)} down` : ''}`;
}

function GroupRow({ group, isOpen, canOpen, onFold }: { group: TreeGroup; isOpen: boolean; canOpen: boolean; onFold: (open: boolean) => void }) {
  const { down } = group.tunnel;
  return (
    <>
      <span
        class={`twisty ${canOpen ? '' : 'hidden'}`}
        onClick={(event) => {
          event.stopPropagation();
          if (canOpen) onFold(!isOpen);
        }}
      >
        <Icon name={isOpen ? 'down' : 'right'} />
      </span>
      <span class="tree-name" title={group.name}>{group.name}</span>
      {down > 0 && (
        <span class="tree-down" title={`${number(down)} tunnels down`}>
          <Lamp state="down" size="tiny" />
          {number(down)}
        </span>
      )}
      <span class="tree-count">{number(group.count)}</span>
    </>
  );
}

function GatewayRow({ gateway }: { gateway: GatewayCompact }) {
  const title = gateway.label !== '' && gateway.label !== gateway.name ? `${gateway.name} (${gateway.label})` : gateway.name;
  return (
    <>
      <span class="twisty hidden" />
      <span class="tree-name" title={title}>{gateway.name}</span>
      <span class="lamps" title={`Check-in ${checkinWords[gateway.lamps.checkin]}, tunnel ${tunnelWords[gateway.lamps.tunnel]}`}>
        <Lamp state={gateway.lamps.checkin} size="small" />
        <Lamp state={gateway.lamps.tunnel} size="small" />
      </span>
    </>
  );
}

function menuOf(row: Row): MenuItem[] {
  if (row.kind === 'group') {
    const id = row.group.id;
    return [
      { text: 'Dashboard', icon: 'columns', href: `/dashboard?group=${id}` },
      { text: 'Thresholds', icon: 'sliders', href: `/thresholds?group=${id}` },
      { text: 'Operations', icon: 'pulse', href: `/operations?group=${id}` },
      { kind: 'line' },
      { text: row.isOpen ? 'Close' : 'Open', icon: row.isOpen ? 'right' : 'down', run: () => (row.isOpen ? closeGroup(id) : openGroup(id)) },
    ];
  }
  if (row.kind === 'note') return [];
  const { gateway } = row;
  const why = may('operate', gateway.tenant, []) || may('operate') ? undefined : 'You may only look here';
  return [
    { text: 'ACEmanager', icon: 'out', why, run: () => openAcemanager(gateway.id) },
    { text: 'Gateway Details', icon: 'gateway', href: `/gateways/${gateway.id}` },
    { kind: 'line' },
    { text: 'Check in now', icon: 'again', why, run: () => void checkInNow(gateway) },
    { text: 'Test', icon: 'pulse', href: `/gateways/${gateway.id}?do=test` },
    { kind: 'line' },
    { text: 'Reboot', icon: 'power', danger: true, why, run: () => orderReboot(gateway) },
  ];
}

function SaveFilter({ onClose }: { onClose: () => void }) {
  const [name, setName] = useState(treeText.value.trim());
  const save = () => {
    if (name.trim() === '') return;
    const query = new URLSearchParams(treeFilter.value);
    if (treeText.value.trim() !== '') query.set('text', treeText.value.trim());
    setPreferences({ filters: [...preferences.value.filters, { name: name.trim().slice(0, 24), query: query.toString() }] });
    onClose();
  };
  return (
    <Dialog
      title="Save this filter"
      onClose={onClose}
      footer={
        <>
          <Button onClick={onClose}>Do not save</Button>
          <Button kind="primary" onClick={save} why={name.trim() === '' ? 'Give it a name first' : undefined}>
            Save filter
          </Button>
        </>
      }
    >
      <form
        onSubmit={(event) => {
          event.preventDefault();
          save();
        }}
      >
        <TextField label="Name" value={name} onInput={setName} maxLength={24} autofocus hint="A chip under the search, in all your browsers." />
      </form>
    </Dialog>
  );
}

function Filters() {
  const [isSaving, setSaving] = useState(false);
  const set = (query: string) => {
    treeFilter.value = query === treeFilter.value ? '' : query;
    treeText.value = '';
    void searchTree();
  };
  const canSave = treeText.value.trim() !== '' || treeFilter.value !== '';
  const own = preferences.value.filters;
  return (
    <div class="saved" role="group" aria-label="Saved filters">
      <Chip on={treeFilter.value === ''} pressed={treeFilter.value === ''} onClick={() => set('')}>
        All
      </Chip>
      {[...builtIn, ...own].map((one) => (
        <Chip key={one.name + one.query} on={treeFilter.value === one.query} pressed={treeFilter.value === one.query} onClick={() => set(one.query)}>
          {one.name}
        </Chip>
      ))}
      {canSave && own.every((one) => one.query !== treeFilter.value) && <Chip icon="plus" label="Save this filter" onClick={() => setSaving(true)} />}
      {own.some((one) => one.query === treeFilter.value) && (
        <Chip icon="x" label="Remove this saved filter" onClick={() => {
          setPreferences({ filters: own.filter((one) => one.query !== treeFilter.value) });
          set(treeFilter.value);
        }} />
      )}
      {isSaving && <SaveFilter onClose={() => setSaving(false)} />}
    </div>
  );
}

function Foot() {
  const state = streamState.value;
  if (state.state === 'live') {
    return (
      <div class="side-foot">
        <Lamp state="up" size="small" />
        <span>Live, all events received</span>
      </div>
    );
  }
  if (state.state === 'lost') {
    return (
      <div class="side-foot warn" role="status">
        <Lamp state="degraded" size="small" />
        <span>Live events stopped {roughly(now.value - state.since / 1000)} ago. What you see may be old.</span>
        <Button size="small" onClick={reconnectStream}>
          Now
        </Button>
      </div>
    );
  }
  return (
    <div class="side-foot">
      <Lamp state="pending" size="small" />
      <span>Connecting</span>
    </div>
  );
}

function Matches() {
  const matches = treeMatches.value;
  if (treeSearchError.value) return <p class="tree-note">{treeSearchError.value.message}</p>;
  if (!matches) return null;
  if (matches.items.length === 0) {
    return (
      <div class="tree-note">
        <p>No gateway matches{treeText.value.trim() !== '' ? ` “${treeText.value.trim()}”` : ''}.</p>
        <Button
          size="small"
          onClick={() => {
            treeText.value = '';
            treeFilter.value = '';
            void searchTree();
          }}
        >
          Show all
        </Button>
      </div>
    );
  }
  return (
    <p class="tree-note" role="status">
      {matches.isShort ? `The first ${number(matches.items.length)} of ${number(matches.total)}` : plural(matches.total, 'match', 'matches')}
    </p>
  );
}

export function Side({ onChoose }: { onChoose?: () => void }) {
  const [menu, setMenu] = useState<{ row: Row; at: { x: number; y: number } } | null>(null);
  const timer = useRef<ReturnType<typeof setTimeout>>();
  const rows: Row[] = treeRows.value.map((row) => ({
    ...row,
    name: nameOf(row),
    isOpen: row.kind === 'group' && row.canOpen ? row.isOpen : undefined,
  })) as Row[];
  const selected = selectedGateway.value ?? (scopeGroup.value === null ? null : `g${scopeGroup.value}`);
  const group = selectedGateway.value === null ? scopeGroup.value : gatewayGroup.value;
  const hasTree = tree.value !== null;
  useEffect(() => {
    if (group !== null && hasTree) revealGroup(group);
  }, [group, hasTree]);

  const open = (row: Row) => {
    if (row.kind === 'note') return;
    if (row.kind === 'gateway') navigate(`/gateways/${row.gateway.id}`);
    else {
      openGroup(row.group.id);
      selectGroup(row.group.id);
    }
    onChoose?.();
  };
  const fold = (row: Row, isOpen: boolean) => {
    if (row.kind === 'group') (isOpen ? openGroup : closeGroup)(row.group.id);
  };
  return (
    <>
      <div class="side-head">
        <SearchBox
          label="Find a gateway"
          value={treeText.value}
          onInput={(text) => {
            treeText.value = text;
            clearTimeout(timer.current);
            timer.current = setTimeout(() => void searchTree(), 150);
          }}
          onKeyDown={(event) => {
            if (event.key !== 'Escape' || treeText.value === '') return;
            event.stopPropagation();
            treeText.value = '';
            void searchTree();
          }}
        />
        <Filters />
      </div>
      <div class="tree-cols" aria-hidden="true">
        <span>Gateways</span>
        <span title="Check-in"><Icon name="clock" /></span>
        <span title="Tunnel"><Icon name="tunnel" /></span>
      </div>
      <Matches />
      {tenant.value ? (
        <VirtualTree
          label="Gateways"
          rows={rows}
          selected={selected}
          describe={describe}
          onOpen={open}
          onFold={fold}
          onMenu={(row, at) => setMenu({ row, at })}
          render={(row) =>
            row.kind === 'group' ? (
              <GroupRow group={row.group} isOpen={row.isOpen === true} canOpen={row.canOpen} onFold={(isOpen) => fold(row, isOpen)} />
            ) : row.kind === 'gateway' ? (
              <GatewayRow gateway={row.gateway} />
            ) : (
              <span class="tree-name dim">{row.text}</span>
            )
          }
        />
      ) : (
        <div class="side-fill">
          {treeError.value ? (
            <ErrorNote error={treeError.value} title="The tree could not be read." onRetry={() => void loadTree()} />
          ) : hasTree ? (
            <p class="tree-note">No tenant is yours to see. An administrator gives you a role.</p>
          ) : (
            <Skeleton lines={8} label="Loading the tree" />
          )}
        </div>
      )}
      <Foot />
      {menu && menu.row.kind !== 'note' && (
        <MenuList label={nameOf(menu.row)} items={menuOf(menu.row)} at={menu.at} onClose={() => setMenu(null)} />
      )}
    </>
  );
}
