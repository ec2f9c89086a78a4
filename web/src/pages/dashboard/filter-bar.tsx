// Above the table: the text that is looked for, filters as chips, saving them, which columns are shown.
import { useState } from 'preact/hooks';
import { Button, Chip } from '../../components/button';
import { Dialog } from '../../components/dialog';
import { Checkbox, SearchBox, TextField } from '../../components/field';
import { MenuButton, type MenuItem } from '../../components/menu';
import type { Threshold } from '../../api/shapes';
import { chips, choices, isEmpty, save, without, words, type Filter, type FilterName } from '../../model/filters';
import { byPlace } from '../../model/dashboard';
import { say } from '../../state/messages';
import { preferences, setPreferences } from '../../state/preferences';
import { number } from '../../text/format';

type Offered = Exclude<FilterName, 'text' | 'stat'>;
const offered: Offered[] = ['tunnel', 'checkin', 'state', 'sync', 'kind'];

function FilterMenu({ name, filter, onChange }: { name: Offered; filter: Filter; onChange: (filter: Filter) => void }) {
  const items = (): MenuItem[] => choices[name].of.map((choice) => ({
    text: choice.text,
    checked: filter[name] === choice.value,
    run: () => onChange({ ...filter, [name]: choice.value }),
  }));
  return (
    <MenuButton class="chip-button" icon="plus" menu={`Filter by ${choices[name].title.toLowerCase()}`} items={items}>
      {choices[name].title}
    </MenuButton>
  );
}

export function SaveFilter({ filter, onClose }: { filter: Filter; onClose: () => void }) {
  const [name, setName] = useState('');
  const names = preferences.value.filters.map((one) => one.name);
  const replaces = names.includes(name.trim());
  const keep = () => {
    setPreferences({ filters: save(preferences.value.filters, name.trim(), filter) });
    say('up', `Filter “${name.trim()}” saved`);
    onClose();
  };
  return (
    <Dialog title="Save this filter" onClose={onClose} footer={
      <>
        <Button onClick={onClose}>Do not save</Button>
        <Button kind="primary" why={name.trim() === '' ? 'Give it a name first' : undefined} onClick={keep}>
          {replaces ? 'Replace filter' : 'Save filter'}
        </Button>
      </>
    }>
      <form class="stack" onSubmit={(event) => { event.preventDefault(); if (name.trim() !== '') keep(); }}>
        <TextField label="Name" value={name} onInput={setName} maxLength={40} autofocus
          hint={replaces ? 'A filter of this name exists and will be replaced.' : 'It becomes a chip above the gateway tree.'} />
        <p class="dim">{words(filter)}</p>
      </form>
    </Dialog>
  );
}

export function ColumnChooser(props: {
  columns: Threshold[];
  hidden: ReadonlySet<string>;
  onChange: (hidden: Set<string>) => void;
  onClose: () => void;
}) {
  const groups = new Map<number, Threshold[]>();
  for (const column of [...props.columns].sort(byPlace)) {
    groups.set(column.dashboard_group, [...(groups.get(column.dashboard_group) ?? []), column]);
  }
  const toggle = (label: string, shown: boolean) => {
    const hidden = new Set(props.hidden);
    if (shown) hidden.delete(label);
    else hidden.add(label);
    props.onChange(hidden);
  };
  return (
    <Dialog title="Columns" onClose={props.onClose} footer={
      <>
        <Button onClick={() => props.onChange(new Set())}>Show all</Button>
        <Button kind="primary" onClick={props.onClose}>Close</Button>
      </>
    }>
      <p class="dim">Each threshold of this branch is a column. What you hide here is hidden for you only.</p>
      <div class="column-groups">
        {[...groups].map(([group, columns]) => (
          <fieldset key={group}>
            <legend>Group {group}</legend>
            {columns.map((column) => (
              <Checkbox key={column.id} label={column.label} checked={!props.hidden.has(column.label)}
                onChange={(shown) => toggle(column.label, shown)} />
            ))}
          </fieldset>
        ))}
      </div>
    </Dialog>
  );
}

export function FilterBar(props: {
  filter: Filter;
  onChange: (filter: Filter) => void;
  shown: number;
  of: number | undefined;
  onColumns: () => void;
  canAdd: boolean;
  addHref: string;
}) {
  const { filter, onChange } = props;
  const [isSaving, setSaving] = useState(false);
  const set = chips(filter);
  return (
    <div class="tools">
      <SearchBox class="table-search" label="Name, serial, address" value={filter.text}
        onInput={(text) => onChange({ ...filter, text })} />
      {set.map((chip) => (
        <Chip key={chip.name} on remove label={`Remove filter ${chip.text}`} onClick={() => onChange(without(filter, chip.name))}>
          {chip.text}
        </Chip>
      ))}
      {offered.filter((name) => filter[name] === '').map((name) => (
        <FilterMenu key={name} name={name} filter={filter} onChange={onChange} />
      ))}
      <span class="table-count" role="status">
        {isEmpty(filter) || props.of === undefined ? number(props.shown) : `${number(props.shown)} of ${number(props.of)}`}
      </span>
      {!isEmpty(filter) && <Button kind="quiet" size="small" onClick={() => setSaving(true)}>Save filter</Button>}
      <Button size="small" icon="columns" onClick={props.onColumns}>Columns</Button>
      {props.canAdd && <Button size="small" icon="plus" href={props.addHref}>Add a threshold</Button>}
      {isSaving && <SaveFilter filter={filter} onClose={() => setSaving(false)} />}
    </div>
  );
}
