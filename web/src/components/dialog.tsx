// Dialogs: the browser's own, so that focus stays inside and comes back; and the one that asks before a loss.

import type { ComponentChildren } from 'preact';
import { useId, useLayoutEffect, useRef, useState } from 'preact/hooks';
import type { ApiError } from '../api/client';
import { Button } from './button';
import { TextField } from './field';
import { ErrorNote } from './states';

export function Dialog(props: {
  title: ComponentChildren;
  onClose: () => void;
  footer?: ComponentChildren;
  children: ComponentChildren;
  wide?: boolean;
  alert?: boolean;
}) {
  const dialog = useRef<HTMLDialogElement>(null);
  const id = useId();
  useLayoutEffect(() => {
    const element = dialog.current;
    const before = document.activeElement;
    element?.showModal();
    element?.querySelector<HTMLElement>('[autofocus]')?.focus();
    return () => {
      element?.close();
      if (before instanceof HTMLElement) before.focus();
    };
  }, []);
  return (
    <dialog
      ref={dialog}
      class={`dialog ${props.wide ? 'wide' : ''}`}
      role={props.alert ? 'alertdialog' : undefined}
      aria-labelledby={id}
      onCancel={(event) => {
        event.preventDefault();
        props.onClose();
      }}
      onMouseDown={(event) => {
        if (event.target === dialog.current && !props.alert) props.onClose();
      }}
    >
      <div class="dialog-inner">
        <header>
          <h2 id={id}>{props.title}</h2>
        </header>
        <div class="dialog-body">{props.children}</div>
        {props.footer && <footer>{props.footer}</footer>}
      </div>
    </dialog>
  );
}

/** `typed`: a name that must be written before the act can be done; for what cannot be taken back. */
export function ConfirmDialog(props: {
  title: string;
  children: ComponentChildren;
  act: string;
  keep: string;
  danger?: boolean;
  typed?: string;
  busy: boolean;
  error: ApiError | null;
  onConfirm: () => void;
  onClose: () => void;
}) {
  const [text, setText] = useState('');
  const isRight = props.typed === undefined || text.trim() === props.typed;
  return (
    <Dialog
      alert
      title={props.title}
      onClose={props.onClose}
      footer={
        <>
          <Button onClick={props.onClose} autofocus={props.typed === undefined && props.danger === true}>
            {props.keep}
          </Button>
          <Button
            kind={props.danger ? 'danger' : 'primary'}
            busy={props.busy}
            why={isRight ? undefined : `Type ${props.typed} first`}
            autofocus={props.typed === undefined && !props.danger}
            onClick={props.onConfirm}
          >
            {props.act}
          </Button>
        </>
      }
    >
      <form
        class="stack"
        onSubmit={(event) => {
          event.preventDefault();
          if (isRight && !props.busy) props.onConfirm();
        }}
      >
        {props.children}
        {props.typed !== undefined && (
          <TextField label={`Type ${props.typed} to confirm`} value={text} onInput={setText} autofocus />
        )}
        {props.error && <ErrorNote error={props.error} title="It was not done." />}
      </form>
    </Dialog>
  );
}
