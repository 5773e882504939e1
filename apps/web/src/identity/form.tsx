import { useMutation } from '@tanstack/react-query';
import { type FormEvent, type InputHTMLAttributes, type ReactNode, useId } from 'react';
import { Link } from 'wouter';
import { Button, Outcome } from '../parts/controls.tsx';
import { Logo } from '../parts/logo.tsx';

/** An input field with its label. */
export function Field({
  label,
  hint,
  beside,
  className = '',
  ...rest
}: InputHTMLAttributes<HTMLInputElement> & {
  label: string;
  hint?: string;
  /** Optional control next to the field. */
  beside?: ReactNode;
}) {
  const id = useId();
  return (
    <div className={`grid gap-1 ${className}`}>
      <div className="flex items-baseline justify-between gap-3">
        <label htmlFor={id} className="text-muted text-xs">
          {label}
        </label>
        {beside}
      </div>
      <input
        id={id}
        aria-describedby={hint ? `${id}-hint` : undefined}
        className="min-w-0 rounded-md border border-edge bg-ground px-3 py-2 text-sm focus:border-accent"
        {...rest}
      />
      {hint && (
        <p id={`${id}-hint`} className="text-muted text-xs">
          {hint}
        </p>
      )}
    </div>
  );
}

/** A form with one action. Displays its result or error. */
export function Form({
  action,
  act,
  done,
  wide = false,
  children,
}: {
  action: string;
  act: (fields: Readonly<Record<string, string>>) => Promise<unknown>;
  done?: string;
  /** True for a button as wide as the fields. */
  wide?: boolean;
  children: ReactNode;
}) {
  const acting = useMutation({ mutationFn: act });
  const submit = (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault();
    const fields = Object.fromEntries([...new FormData(event.currentTarget)].map(([name, value]) => [name, String(value)]));
    // Clears the fields after success, above all passwords.
    const form = event.currentTarget;
    acting.mutate(fields, { onSuccess: () => form.reset() });
  };
  return (
    <form onSubmit={submit} className="grid gap-4">
      {children}
      <Button type="submit" tone="main" disabled={acting.isPending} className={wide ? 'py-2' : 'justify-self-start px-4 py-1.5'}>
        {action}
      </Button>
      <div aria-live="polite" className="empty:hidden">
        <Outcome error={acting.error} done={acting.isSuccess ? done : undefined} />
      </div>
    </form>
  );
}

/** Layout of pages before sign-in: one form in the middle, and links to the other pages. */
export function SignInLayout({
  title,
  lead,
  ways = [],
  children,
}: {
  title: string;
  lead?: string;
  ways?: readonly { href: string; label: string }[];
  children: ReactNode;
}) {
  return (
    <div className="grid flex-1 place-items-center py-10">
      <div className="w-full max-w-sm">
        <div className="mb-6 flex items-center gap-2.5 font-semibold text-lg tracking-tight">
          <Logo />
          Millrace
        </div>
        <section className="rounded-lg border border-line bg-surface p-6">
          <h1 className="mb-1 font-semibold text-lg">{title}</h1>
          {lead && <p className="mb-4 text-muted text-sm">{lead}</p>}
          <div className="mt-4 grid gap-4">{children}</div>
        </section>
        <p className="mt-4 flex flex-wrap gap-x-4 gap-y-1 px-1 text-sm">
          {ways.map(({ href, label }) => (
            <Link key={href} href={href} className="text-accent hover:underline">
              {label}
            </Link>
          ))}
        </p>
      </div>
    </div>
  );
}
