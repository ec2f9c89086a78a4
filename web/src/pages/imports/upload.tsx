// A sheet is dropped or chosen, and sent; what is known of it then comes by events.
import { useRef, useState } from 'preact/hooks';
import { Button } from '../../components/button';
import { Icon } from '../../components/icon';
import { Bar } from '../../components/progress';
import { ErrorNote, Note } from '../../components/states';
import { ApiError } from '../../api/client';
import type { Import } from '../../api/shapes';
import { sendFile } from '../../api/upload';
import { fileFault } from '../../model/sheet';
import { navigate } from '../../state/router';
import { bytes } from '../../text/format';

interface Sending {
  name: string;
  size: number;
  sent: number;
  abort: AbortController;
}

function DropArea({ onFile, isOver, input }: { onFile: (file: File) => void; isOver: boolean; input: preact.RefObject<HTMLInputElement> }) {
  return (
    <div class={`drop ${isOver ? 'over' : ''}`}>
      <Icon name="upload" />
      <p class="empty-title">Drop a spreadsheet here</p>
      <p class="dim">CSV or XLSX, one row for each gateway, headings in the first row. At most 32 MiB.</p>
      <input ref={input} class="vh" type="file" id="sheet-file" tabIndex={-1} aria-hidden="true"
        accept=".csv,.xlsx,text/csv,application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
        onChange={(event) => {
          const file = event.currentTarget.files?.[0];
          event.currentTarget.value = '';
          if (file) onFile(file);
        }} />
      <Button kind="primary" icon="upload" onClick={() => input.current?.click()}>Choose a file</Button>
    </div>
  );
}

export function Upload({ tenant }: { tenant: string | undefined }) {
  const [isOver, setOver] = useState(false);
  const [sending, setSending] = useState<Sending | null>(null);
  const [fault, setFault] = useState<string | null>(null);
  const [error, setError] = useState<ApiError | null>(null);
  const input = useRef<HTMLInputElement>(null);

  const send = async (file: File) => {
    const wrong = fileFault(file.name, file.size);
    setFault(wrong);
    setError(null);
    if (wrong) return;
    const abort = new AbortController();
    const start = { name: file.name, size: file.size, sent: 0, abort };
    setSending(start);
    try {
      const made = await sendFile<Import>('/imports', { tenant, filename: file.name }, file, {
        signal: abort.signal,
        onSent: (sent) => setSending({ ...start, sent }),
      });
      navigate(`/admin/imports/${made.id}`);
    } catch (thrown) {
      setSending(null);
      if (thrown instanceof ApiError) setError(thrown);
    }
  };
  return (
    <div class="stack"
      onDragOver={(event) => { event.preventDefault(); setOver(true); }}
      onDragLeave={() => setOver(false)}
      onDrop={(event) => {
        event.preventDefault();
        setOver(false);
        const file = event.dataTransfer?.files[0];
        if (file && !sending) void send(file);
      }}>
      {fault && <Note state="down" role="alert" title="The file was not sent."><p>{fault}</p></Note>}
      {error && <ErrorNote error={error} title="The sheet was not taken." />}
      {sending ? (
        <div class="drop" role="status">
          <p class="empty-title">Sending {sending.name}</p>
          <Bar isProgress label="Sent" parts={[{ share: sending.sent / Math.max(1, sending.size), state: 'accent' }]} />
          <p class="dim">{bytes(sending.sent)} of {bytes(sending.size)}</p>
          <Button onClick={() => sending.abort.abort()}>Stop</Button>
        </div>
      ) : <DropArea onFile={(file) => void send(file)} isOver={isOver} input={input} />}
    </div>
  );
}
