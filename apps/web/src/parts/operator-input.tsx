import { useAccount } from '../identity/account.ts';
import { usePreferences } from '../preferences.ts';
import { useText } from '../text/text.ts';
import { Input } from './controls.tsx';

/** Name of the operator in demo mode, stored in this browser. With users the server knows it. */
export function OperatorInput() {
  const text = useText();
  const { operator, setOperator } = usePreferences();
  if (useAccount()?.kind !== 'demo') return null;
  return (
    <Input
      label={text.operatorName}
      value={operator}
      required
      maxLength={64}
      onChange={(event) => setOperator(event.target.value)}
      className="w-40"
    />
  );
}

/** Operator name to send with audited actions; undefined if the server knows the user. */
export function useOperator(): string | undefined {
  const { operator } = usePreferences();
  return useAccount()?.kind === 'demo' ? operator : undefined;
}
