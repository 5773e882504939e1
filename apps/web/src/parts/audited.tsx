import { useMutation } from '@tanstack/react-query';
import { type FormEvent, type ReactNode, useState } from 'react';
import type { Audit } from '../api.ts';
import { useText } from '../text/text.ts';
import { Button, Input, Outcome } from './controls.tsx';
import { OperatorInput, useOperator } from './operator-input.tsx';

interface AuditedProps {
  readonly label: string;
  /** Runs the action; `ok: false` is a refusal of the world. */
  readonly act: (audit: Audit) => Promise<{ ok?: boolean; code?: string; message?: string } | object>;
  readonly onDone?: () => void;
  readonly grave?: boolean;
  readonly children?: ReactNode;
}

/** Form of an audited action: operator and reason. */
export function Audited({ label, act, onDone, grave = false, children }: AuditedProps) {
  const text = useText();
  const operator = useOperator();
  const [reason, setReason] = useState('');
  const action = useMutation({
    mutationFn: async () => {
      const outcome = (await act({ ...(operator !== undefined && { operator }), reason })) as {
        ok?: boolean;
        code?: string;
        message?: string;
      };
      if (outcome.ok === false) throw new Error(`${outcome.code}: ${outcome.message}`);
    },
    onSuccess: () => {
      setReason('');
      onDone?.();
    },
  });
  const submit = (event: FormEvent) => {
    event.preventDefault();
    action.mutate();
  };
  return (
    <form onSubmit={submit} className="grid gap-2">
      {children}
      <div className="flex flex-wrap gap-2">
        <OperatorInput />
        <Input
          label={text.reason}
          value={reason}
          required
          maxLength={500}
          onChange={(event) => setReason(event.target.value)}
          className="flex-1"
        />
        <Button type="submit" tone={grave ? 'grave' : 'main'} disabled={action.isPending}>
          {label}
        </Button>
      </div>
      <Outcome error={action.error} done={action.isSuccess ? text.done : undefined} />
    </form>
  );
}
