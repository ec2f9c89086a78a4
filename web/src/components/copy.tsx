import { useState } from 'preact/hooks';
import { announce } from '../state/messages';
import { Button } from './button';

export function CopyButton({ text, what }: { text: string; what: string }) {
  const [done, setDone] = useState(false);
  const copy = async () => {
    await navigator.clipboard.writeText(text);
    setDone(true);
    announce(`${what} copied`);
    setTimeout(() => setDone(false), 2000);
  };
  return <Button kind="quiet" size="small" class="tight" icon={done ? 'check' : 'copy'} label={`Copy ${what}`} onClick={() => void copy().catch(() => undefined)} />;
}
