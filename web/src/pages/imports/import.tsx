// One upload: the step that it is at.
import { Card } from '../../components/card';
import { Button } from '../../components/button';
import { Icon } from '../../components/icon';
import { Bar } from '../../components/progress';
import { Loaded, Note } from '../../components/states';
import { useState } from 'preact/hooks';
import { api } from '../../api/client';
import type { Import } from '../../api/shapes';
import { share, stepOf, steps, type Step } from '../../model/sheet';
import { useResource } from '../../state/resource';
import { useLive } from '../../state/stream';
import { usePageTitle } from '../../state/title';
import { number } from '../../text/format';
import { PageHead } from '../head';
import type { PageProps } from '../routes';
import { Mapping } from './mapping';
import { Preview } from './preview';
import { Running } from './running';

function Steps({ at }: { at: Step }) {
  const index = steps.findIndex((one) => one.step === at);
  return (
    <ol class="steps" aria-label="Steps">
      {steps.map((one, i) => (
        <li key={one.step} class={i < index ? 'done' : i === index ? 'now' : ''} aria-current={i === index ? 'step' : undefined}>
          <span class="step-mark">{i < index ? <Icon name="check" /> : i + 1}</span>
          {one.text}{i < index && <span class="vh"> done</span>}
        </li>
      ))}
    </ol>
  );
}

function Reading({ sheet }: { sheet: Import }) {
  const { done, of } = sheet.progress;
  return (
    <Card title={sheet.filename} footer={<span>You can leave this page. It is under Spreadsheet upload.</span>}>
      <div class="stack" role="status">
        <p>{sheet.phase === 'judging' ? 'Each row is compared with the gateways.' : 'The sheet is read.'}
          {of > 0 && <span class="dim"> {number(done)} of {number(of)} rows</span>}</p>
        <Bar isProgress label="Read" parts={[{ share: share(sheet.progress), state: 'pending' }]} />
      </div>
    </Card>
  );
}

function Failed({ sheet }: { sheet: Import }) {
  return (
    <Note state="down" role="alert" title={`${sheet.filename} was not taken.`} action={<Button href="/admin/imports">Upload another sheet</Button>}>
      <p>{sheet.text || 'It could not be read as a sheet.'} Nothing was changed.</p>
    </Note>
  );
}

function Body({ sheet, onSheet }: { sheet: Import; onSheet: (sheet: Import) => void }) {
  const [isMapping, setMapping] = useState(false);
  if (sheet.state === 'reading' || (sheet.state === 'ready' && sheet.phase === 'judging')) return <Reading sheet={sheet} />;
  if (sheet.state === 'mapping' && sheet.phase === 'judging') return <Reading sheet={sheet} />;
  if (sheet.state === 'mapping' || (isMapping && sheet.state === 'ready')) {
    return <Mapping sheet={sheet} onDone={(next) => { setMapping(false); onSheet(next); }} />;
  }
  if (sheet.state === 'failed' && sheet.rows.applied === 0) return <Failed sheet={sheet} />;
  if (sheet.state === 'ready') return <Preview sheet={sheet} onSheet={onSheet} onColumns={() => setMapping(true)} />;
  return <Running sheet={sheet} onSheet={onSheet} />;
}

export default function ImportPage({ params }: PageProps) {
  const id = params['id'] ?? '';
  const sheet = useResource<Import>(`import ${id}`, (signal) => api.get(`/imports/${id}`, { signal }));
  usePageTitle(sheet.data ? `Sheet ${sheet.data.filename}` : 'Spreadsheet upload');
  useLive((event) => {
    if (event.kind === 'import' && event.data['id'] === id) sheet.set(event.data as unknown as Import);
  });
  return (
    <>
      <PageHead title="Spreadsheet upload" up={[{ text: 'Admin', href: '/admin' }, { text: 'Uploads', href: '/admin/imports' }]}>
        {sheet.data && <Steps at={stepOf(sheet.data.state)} />}
      </PageHead>
      <Loaded resource={sheet} what="The sheet" lines={8}>
        {(data) => <Body sheet={data} onSheet={sheet.set} />}
      </Loaded>
    </>
  );
}
