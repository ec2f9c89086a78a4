// "Add a Threshold" and editing one: the form on the left, what it would mean for the gateways on the right.
import { useEffect, useState } from 'preact/hooks';
import { Button } from '../../components/button';
import { Card } from '../../components/card';
import { Checkbox, Field, Select, TextField } from '../../components/field';
import { Icon } from '../../components/icon';
import { Lamp } from '../../components/lamp';
import { PageHead } from '../head';
import type { Branch } from '../rights';
import { Bar } from '../../components/progress';
import { ErrorNote, Note, Skeleton } from '../../components/states';
import { api, asApiError, isAbort, type ApiError } from '../../api/client';
import type { List } from '../../api/types';
import type { ConditionOp, Threshold, ThresholdPreview } from '../../api/shapes';
import {
  allKinds, bodyOf, check, emptyForm, formOf, operators, type ConditionForm, type Faults, type ThresholdForm,
} from '../../model/thresholds';
import { say } from '../../state/messages';
import { useAction, useResource } from '../../state/resource';
import { scopeName } from '../../state/scope';
import { number, plural } from '../../text/format';

const REST = 400; // ms without typing before the preview is asked for

// ---- preview ----

function usePreview(body: Record<string, unknown> | null): { data: ThresholdPreview | undefined; error: ApiError | null } {
  const key = body === null ? null : JSON.stringify(body);
  const [state, setState] = useState<{ data: ThresholdPreview | undefined; error: ApiError | null }>({ data: undefined, error: null });
  useEffect(() => {
    if (key === null) return undefined;
    const abort = new AbortController();
    const timer = setTimeout(() => {
      api.post<ThresholdPreview>('/thresholds/preview', JSON.parse(key), { signal: abort.signal }).then(
        (data) => setState({ data, error: null }),
        (error: unknown) => {
          if (!isAbort(error)) setState({ data: undefined, error: asApiError(error) });
        },
      );
    }, REST);
    return () => {
      clearTimeout(timer);
      abort.abort();
    };
  }, [key]);
  return state;
}

function Preview({ preview, error }: { preview: ThresholdPreview | undefined; error: ApiError | null }) {
  if (error) return <Note state="degraded" title="No preview"><p>{error.message}</p></Note>;
  if (!preview) return <p class="dim">Choose a stat, and see at once how many gateways would meet the conditions.</p>;
  const rest = preview.ok + preview.none;
  const whole = Math.max(1, preview.looked_at);
  const names = preview.gateways;
  return (
    <div class="stack" aria-live="polite">
      <p>
        <b>{number(preview.error + preview.warning)}</b> of {plural(preview.looked_at, 'gateway')} would meet a condition now.
        {preview.looked_at < preview.total && ` The patterns are slow: ${number(preview.total - preview.looked_at)} more were not looked at.`}
      </p>
      <Bar label={`${preview.error} error, ${preview.warning} warning, ${rest} neither`} parts={[
        { share: preview.error / whole, state: 'down' }, { share: preview.warning / whole, state: 'degraded' }]} />
      <ul class="counted">
        <li><Lamp state="down" /><span>Error</span><b>{number(preview.error)}</b></li>
        <li><Lamp state="degraded" /><span>Warning</span><b>{number(preview.warning)}</b></li>
        <li><Lamp state="up" /><span>Neither</span><b>{number(rest)}</b></li>
      </ul>
      {names.length > 0 && (
        <ul class="preview-names">
          {names.map((one) => (
            <li key={one.id}>
              <Lamp state={one.state === 'error' ? 'down' : one.state === 'warning' ? 'degraded' : 'up'} label={one.state} />
              <a href={`/gateways/${one.id}`}>{one.name}</a>
              <span class="num">{one.value === '' ? '–' : one.value}</span>
            </li>
          ))}
        </ul>
      )}
    </div>
  );
}

// ---- form ----

const operatorOptions = operators.map((one) => ({ value: one.op, text: one.text }));

function ConditionFields(props: { title: string; condition: ConditionForm; unit: string; error: string | undefined; onChange: (condition: ConditionForm) => void }) {
  const { condition } = props;
  const operator = operators.find((one) => one.op === condition.op);
  return (
    <div class="form-pair">
      <Select<'' | ConditionOp> label={props.title} value={condition.op} options={operatorOptions}
        onChange={(op) => props.onChange({ ...condition, op })} />
      {operator?.takesValue && (
        <TextField label={`${props.title}: value`} value={condition.value} error={props.error} suffix={props.unit}
          {...(operator.op === 'matches' ? { hint: 'A pattern. A dot stands for any character, .* for many.' } : {})}
          onInput={(value) => props.onChange({ ...condition, value })} />
      )}
    </div>
  );
}

function StatField({ form, faults, set }: FormParts) {
  const stats = useResource('stats', async (signal) => (await api.get<List<{ name: string; unit?: string }>>('/stats', { signal })).items);
  return (
    <Field label="Stat" error={faults.stat} hint="What the gateways report, or what the server knows of them.">
      {(ids) => (
        <span class={`input ${faults.stat ? 'bad' : ''}`}>
          <Icon name="search" />
          <input {...ids} class="mono" list="stat-names" value={form.stat} autocomplete="off" spellcheck={false} maxLength={64}
            onInput={(event) => {
              const stat = event.currentTarget.value;
              const unit = stats.data?.find((one) => one.name === stat)?.unit;
              set({ stat, ...(unit !== undefined ? { unit } : {}) });
            }} />
          <datalist id="stat-names">{stats.data?.map((one) => <option key={one.name} value={one.name} />)}</datalist>
        </span>
      )}
    </Field>
  );
}

interface FormParts {
  form: ThresholdForm;
  faults: Faults;
  set: (change: Partial<ThresholdForm>) => void;
}

function KindFields({ form, faults, set }: FormParts) {
  return (
    <fieldset class="plain-fieldset">
      <legend class="label">Stats for gateway type</legend>
      <div class="row wrap">
        {allKinds.map((one) => (
          <Checkbox key={one.kind} label={one.text} checked={form.types.includes(one.kind)}
            onChange={(on) => set({ types: on ? [...form.types, one.kind] : form.types.filter((kind) => kind !== one.kind) })} />
        ))}
      </div>
      {faults.types && <p class="field-error"><Lamp state="down" size="tiny" /><span>{faults.types}</span></p>}
    </fieldset>
  );
}

function ColumnFields({ form, faults, set }: FormParts) {
  return (
    <>
      <TextField label="Label" value={form.label} error={faults.label} maxLength={64} autofocus
        hint="The head of the column." onInput={(label) => set({ label })} />
      <StatField form={form} faults={faults} set={set} />
      <div class="form-pair">
        <TextField label="Matching labels" optional value={form.statLabel} maxLength={64}
          hint="Only this one of a stat that has several, such as a sensor's name." onInput={(statLabel) => set({ statLabel })} />
        <TextField label="Unit" optional value={form.unit} maxLength={16} onInput={(unit) => set({ unit })} />
      </div>
      <KindFields form={form} faults={faults} set={set} />
      <div class="form-pair">
        <TextField label="Default value" optional value={form.default} maxLength={64}
          hint="Stands for gateways that report nothing." onInput={(value) => set({ default: value })} />
        <TextField label="Display filter" optional value={form.filter} mono
          hint="A pattern: only what it matches is shown." onInput={(filter) => set({ filter })} />
      </div>
      <div class="form-pair">
        <TextField label="Dashboard group" value={form.dashboardGroup} error={faults.dashboardGroup} inputMode="numeric"
          hint="Groups stand from left to right by number." onInput={(dashboardGroup) => set({ dashboardGroup })} />
        <TextField label="Order in the group" value={form.order} error={faults.order} inputMode="numeric"
          onInput={(order) => set({ order })} />
      </div>
    </>
  );
}

function ConditionCard({ form, faults, set }: FormParts) {
  return (
    <div class="form">
      <ConditionFields title="Warning when it" condition={form.warning} unit={form.unit} error={faults.warning}
        onChange={(warning) => set({ warning })} />
      <ConditionFields title="Error when it" condition={form.error} unit={form.unit} error={faults.error}
        onChange={(error) => set({ error })} />
      <div class="form-pair">
        <TextField label="Hysteresis" value={form.hysteresis} error={faults.hysteresis} inputMode="decimal" suffix={form.unit}
          hint="How far a number must come back before the state ends." onInput={(hysteresis) => set({ hysteresis })} />
        <TextField label="Hold time" value={form.hold} error={faults.hold} inputMode="numeric" suffix="s"
          hint="How long the condition must hold before it counts." onInput={(hold) => set({ hold })} />
      </div>
    </div>
  );
}

export function ThresholdEditor(props: { branch: Branch; threshold: Threshold | null; onClose: () => void; onSaved: () => void }) {
  const { threshold } = props;
  const [form, setForm] = useState<ThresholdForm>(() => (threshold ? formOf(threshold) : emptyForm(props.branch)));
  const [isTried, setTried] = useState(false);
  const action = useAction();
  const all = check(form);
  const faults = isTried ? all : {};
  const set = (change: Partial<ThresholdForm>) => setForm((old) => ({ ...old, ...change }));
  const canAsk = form.stat.trim() !== '' && !all.warning && !all.error && !all.types && !all.hysteresis && !all.hold;
  const preview = usePreview(canAsk ? bodyOf({ ...form, label: form.label.trim() || 'preview' }, true) : null);

  const save = () => {
    setTried(true);
    if (Object.keys(all).length > 0) {
      document.querySelector<HTMLElement>('[aria-invalid="true"]')?.focus();
      return;
    }
    void action.run(async () => {
      if (threshold) await api.patch(`/thresholds/${threshold.id}`, bodyOf(form, false));
      else await api.post('/thresholds', bodyOf(form, true));
      say('up', threshold ? `Threshold “${form.label.trim()}” changed` : `Threshold “${form.label.trim()}” added`);
      props.onSaved();
    });
  };
  return (
    <form class="stack-sections" onSubmit={(event) => { event.preventDefault(); save(); }} noValidate>
      <PageHead title={threshold ? `Threshold “${threshold.label}”` : 'Add a threshold'} note={threshold ? '' : `For ${scopeName.value} and all groups below`}>
        <Button onClick={props.onClose}>Cancel</Button>
        <Button kind="primary" type="submit" busy={action.busy}>{threshold ? 'Save threshold' : 'Add threshold'}</Button>
      </PageHead>
      {action.error && <ErrorNote error={action.error} title="The threshold was not saved." />}
      <div class="columns-form">
        <div class="stack-sections">
          <Card title="Column"><div class="form"><ColumnFields form={form} faults={faults} set={set} /></div></Card>
          <Card title="Conditions" more="optional"><ConditionCard form={form} faults={faults} set={set} /></Card>
        </div>
        <Card title="What it would mean now">
          {canAsk && !preview.data && !preview.error ? <Skeleton lines={5} label="Loading: preview" />
            : <Preview preview={canAsk ? preview.data : undefined} error={canAsk ? preview.error : null} />}
        </Card>
      </div>
    </form>
  );
}
