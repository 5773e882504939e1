import { useMutation } from '@tanstack/react-query';
import { useEffect } from 'react';
import { api } from '../api.ts';
import { Audited } from '../parts/audited.tsx';
import { Button, Outcome } from '../parts/controls.tsx';
import { useFormats } from '../parts/numbers.ts';
import { useText } from '../text/text.ts';

/** Form to restore a zone to a point in time, with a preview of the changes. */
export function Restore({ zone, seq, onDone }: { zone: string; seq: number; onDone?: () => void }) {
  const text = useText();
  const { whole } = useFormats();
  const { mutate: look, reset, ...plan } = useMutation({ mutationFn: () => api.restorePlan(zone, seq) });
  // The preview belongs to another point in time.
  // biome-ignore lint/correctness/useExhaustiveDependencies: the point in time decides when.
  useEffect(() => reset(), [reset, zone, seq]);
  const changes = plan.data?.changes;
  return (
    <div className="grid gap-2">
      <p className="text-muted text-sm">{text.restoreHint}</p>
      <div>
        <Button disabled={plan.isPending} onClick={() => look()}>
          {text.whatWouldChange}
        </Button>
        <Outcome error={plan.error} />
      </div>
      {changes && (
        <dl className="grid grid-cols-[1fr_auto] gap-x-4 text-sm" data-restore-plan>
          {Object.entries(CHANGES).map(([change, name]) => (
            <div key={change} className="contents">
              <dt className="text-muted">{text[name]}</dt>
              <dd className="text-right">{whole(changes[change as keyof typeof CHANGES].length)}</dd>
            </div>
          ))}
        </dl>
      )}
      <Audited label={text.restore} grave act={(audit) => api.restore(zone, seq, audit)} {...(onDone && { onDone })} />
    </div>
  );
}

const CHANGES = {
  playersRestored: 'playersRestored',
  playersKept: 'playersKept',
  playersElsewhere: 'playersElsewhere',
  itemsBack: 'itemsBack',
  itemsGone: 'itemsGone',
  itemsElsewhere: 'itemsElsewhere',
} as const;
