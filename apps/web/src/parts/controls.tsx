import { type ButtonHTMLAttributes, type InputHTMLAttributes, type ReactNode, useId } from 'react';
import { useIsLost } from '../live/connection.ts';
import { useErrorWords } from './error-words.ts';

/**
 * A button; `main` for the primary action, `grave` for one that cannot be undone. Disabled without a connection, unless it needs no
 * server (`isLocal`).
 */
export function Button({
  tone = 'plain',
  className = '',
  isLocal = false,
  disabled = false,
  ...rest
}: ButtonHTMLAttributes<HTMLButtonElement> & { tone?: 'plain' | 'main' | 'grave'; isLocal?: boolean }) {
  const isLost = useIsLost();
  const tones = {
    plain: 'border-line hover:border-accent',
    main: 'border-accent bg-accent-soft text-accent hover:border-ink',
    grave: 'border-line text-warn hover:border-warn',
  };
  return (
    <button
      type="button"
      disabled={disabled || (isLost && !isLocal)}
      className={`whitespace-nowrap rounded-md border px-3 py-1 text-sm disabled:opacity-50 ${tones[tone]} ${className}`}
      {...rest}
    />
  );
}

export function Input({ label, className = '', ...rest }: InputHTMLAttributes<HTMLInputElement> & { label: string }) {
  return (
    <input
      aria-label={label}
      placeholder={label}
      className={`min-w-0 rounded-md border border-edge bg-ground px-2.5 py-1 text-sm placeholder:text-muted ${className}`}
      {...rest}
    />
  );
}

/** A panel with title, actions and content. */
export function Panel({
  title,
  aside,
  children,
  className = '',
}: {
  title: string;
  aside?: ReactNode;
  children: ReactNode;
  className?: string;
}) {
  const id = useId();
  return (
    <section aria-labelledby={id} className={`min-w-0 rounded-lg border border-line bg-surface ${className}`}>
      <div className="flex min-h-11 flex-wrap items-center gap-x-3 gap-y-2 px-4 py-2">
        <h2 id={id} className="font-medium text-sm">
          {title}
        </h2>
        {aside && <div className="ml-auto flex flex-wrap items-center gap-2">{aside}</div>}
      </div>
      {children}
    </section>
  );
}

/** Result of an action, as text of the server. */
export function Outcome({ error, done }: { error: Error | null; done?: string | undefined }) {
  const wordsFor = useErrorWords();
  if (error) return <p className="text-sm text-warn">{wordsFor(error)}</p>;
  return done ? <p className="text-accent text-sm">{done}</p> : null;
}
