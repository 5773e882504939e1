import { useAccount } from '../identity/account.ts';
import { usePreferences } from '../preferences.ts';
import { useText } from '../text/text.ts';
import { Input } from './controls.tsx';

/** Who works here, where nobody signs in: kept in this browser. Elsewhere the server knows it. */
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

/** The name to send with what stays on record; undefined where the server knows it. */
export function useOperator(): string | undefined {
  const { operator } = usePreferences();
  return useAccount()?.kind === 'demo' ? operator : undefined;
}
