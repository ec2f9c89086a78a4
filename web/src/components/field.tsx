import type { ComponentChildren, JSX, RefObject } from 'preact';
import { useId, useState } from 'preact/hooks';
import { Button } from './button';
import { Icon } from './icon';
import { Lamp } from './lamp';

export interface FieldProps {
  label: string;
  optional?: boolean;
  hint?: ComponentChildren;
  error?: string | null | undefined;
  large?: boolean;
}

interface Ids {
  id: string;
  'aria-describedby': string | undefined;
  'aria-invalid': boolean | undefined;
}

/** Label above, control, and below it what is wrong or a hint. */
export function Field(props: FieldProps & { children: (ids: Ids) => ComponentChildren }) {
  const id = useId();
  const describedBy = props.error ? `${id}-error` : props.hint ? `${id}-hint` : undefined;
  return (
    <div class="field-row">
      <label class="label" for={id}>
        {props.label}
        {props.optional && <span class="label-more"> optional</span>}
      </label>
      {props.children({ id, 'aria-describedby': describedBy, 'aria-invalid': props.error ? true : undefined })}
      {props.error ? (
        <p class="field-error" id={`${id}-error`}>
          <Lamp state="down" size="tiny" />
          <span>{props.error}</span>
        </p>
      ) : (
        props.hint && (
          <p class="hint" id={`${id}-hint`}>
            {props.hint}
          </p>
        )
      )}
    </div>
  );
}

export interface TextProps extends FieldProps {
  value: string;
  onInput: (value: string) => void;
  type?: 'text' | 'number' | 'email' | 'url';
  placeholder?: string;
  suffix?: string;
  autocomplete?: string;
  autofocus?: boolean;
  maxLength?: number;
  inputMode?: 'text' | 'numeric' | 'decimal';
  mono?: boolean;
  required?: boolean;
  inputRef?: RefObject<HTMLInputElement>;
}

export function TextField(props: TextProps) {
  return (
    <Field {...props}>
      {(ids) => (
        <span class={`input ${props.large ? 'large' : ''} ${props.error ? 'bad' : ''}`}>
          <input
            {...ids}
            ref={props.inputRef}
            type={props.type ?? 'text'}
            class={props.mono ? 'mono' : undefined}
            value={props.value}
            placeholder={props.placeholder}
            autocomplete={props.autocomplete ?? 'off'}
            autofocus={props.autofocus}
            maxLength={props.maxLength}
            inputMode={props.inputMode}
            required={props.required}
            spellcheck={false}
            onInput={(event) => props.onInput(event.currentTarget.value)}
          />
          {props.suffix && <span class="input-suffix">{props.suffix}</span>}
        </span>
      )}
    </Field>
  );
}

export function PasswordField(props: Omit<TextProps, 'type' | 'suffix' | 'mono'>) {
  const [shown, setShown] = useState(false);
  return (
    <Field {...props}>
      {(ids) => (
        <span class={`input ${props.large ? 'large' : ''} ${props.error ? 'bad' : ''}`}>
          <input
            {...ids}
            ref={props.inputRef}
            type={shown ? 'text' : 'password'}
            value={props.value}
            autocomplete={props.autocomplete ?? 'current-password'}
            autofocus={props.autofocus}
            required={props.required}
            spellcheck={false}
            onInput={(event) => props.onInput(event.currentTarget.value)}
          />
          <Button kind="quiet" size="small" icon="eye" label={shown ? 'Hide password' : 'Show password'} pressed={shown} onClick={() => setShown(!shown)} />
        </span>
      )}
    </Field>
  );
}

export function TextArea(props: FieldProps & { value: string; onInput: (value: string) => void; rows?: number; maxLength?: number }) {
  return (
    <Field {...props}>
      {(ids) => (
        <textarea
          {...ids}
          class={`area ${props.error ? 'bad' : ''}`}
          rows={props.rows ?? 3}
          maxLength={props.maxLength}
          value={props.value}
          onInput={(event) => props.onInput(event.currentTarget.value)}
        />
      )}
    </Field>
  );
}

export function Select<T extends string>(
  props: FieldProps & { value: T; options: readonly { value: T; text: string }[]; onChange: (value: T) => void },
) {
  return (
    <Field {...props}>
      {(ids) => (
        <span class="select">
          <select {...ids} value={props.value} onChange={(event) => props.onChange(event.currentTarget.value as T)}>
            {props.options.map((one) => (
              <option key={one.value} value={one.value}>
                {one.text}
              </option>
            ))}
          </select>
          <Icon name="down" />
        </span>
      )}
    </Field>
  );
}

export function Checkbox(props: { label: ComponentChildren; hint?: string; checked: boolean; onChange: (checked: boolean) => void }) {
  const id = useId();
  return (
    <div class="check">
      <input
        id={id}
        type="checkbox"
        checked={props.checked}
        aria-describedby={props.hint ? `${id}-hint` : undefined}
        onChange={(event) => props.onChange(event.currentTarget.checked)}
      />
      <label for={id}>{props.label}</label>
      {props.hint && (
        <p class="hint" id={`${id}-hint`}>
          {props.hint}
        </p>
      )}
    </div>
  );
}

/** Without a visible label: the magnifier and the placeholder say it. */
export function SearchBox(props: {
  label: string;
  value: string;
  onInput: (value: string) => void;
  onKeyDown?: JSX.KeyboardEventHandler<HTMLInputElement>;
  placeholder?: string;
  kbd?: string;
  class?: string;
  inputRef?: RefObject<HTMLInputElement>;
  attributes?: Record<string, string | boolean | undefined>;
  onFocus?: () => void;
}) {
  return (
    <span class={`input search ${props.class ?? ''}`}>
      <Icon name="search" />
      <input
        ref={props.inputRef}
        type="search"
        aria-label={props.label}
        placeholder={props.placeholder ?? props.label}
        value={props.value}
        autocomplete="off"
        spellcheck={false}
        maxLength={64}
        onInput={(event) => props.onInput(event.currentTarget.value)}
        onKeyDown={props.onKeyDown}
        onFocus={props.onFocus}
        {...props.attributes}
      />
      {props.kbd && props.value === '' && <kbd aria-hidden="true">{props.kbd}</kbd>}
    </span>
  );
}
