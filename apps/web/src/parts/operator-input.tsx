import { usePreferences } from '../preferences.ts';
import { useText } from '../text/text.ts';
import { Input } from './controls.tsx';

/** Who works here; kept in this browser until accounts say it. */
export function OperatorInput() {
  const text = useText();
  const { operator, setOperator } = usePreferences();
  return (
    <Input
      label={text.operator}
      value={operator}
      required
      maxLength={64}
      onChange={(event) => setOperator(event.target.value)}
      className="w-28"
    />
  );
}
