import { useEffect, useState } from 'react';
import { useConnection } from '../live/connection.ts';
import { millrace } from '../live/stream.ts';
import { useText } from '../text/text.ts';
import { useFormats } from './numbers.ts';

const TICK_MS = 1_000;

/** Banner on every page while the connection is lost, with its duration. */
export function ConnectionBanner() {
  const text = useText();
  const { when } = useFormats();
  const { status, since } = useConnection();
  const isLost = status === 'lost' && since !== null;
  return (
    <div role="status" aria-live="assertive">
      {isLost && (
        <div
          className="flex flex-wrap items-center gap-x-3 gap-y-1 border-warn border-t bg-warn-soft px-3 py-2 text-sm text-warn sm:px-6"
          data-connection-lost
        >
          <p className="min-w-0 flex-1 basis-64">
            <strong className="font-medium">{text.reconnecting}</strong> {text.connectionLost.replace('{time}', when(since))}
          </p>
          <Age since={since} />
          <button
            type="button"
            onClick={() => millrace.reconnect()}
            className="whitespace-nowrap rounded-md border border-warn px-3 py-1 hover:bg-surface"
          >
            {text.tryNow}
          </button>
        </div>
      )}
    </div>
  );
}

/** Age of the data on the page. Hidden from screen readers: it changes every second. */
function Age({ since }: { since: number }) {
  const text = useText();
  const { duration } = useFormats();
  const [now, setNow] = useState(Date.now());
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now()), TICK_MS);
    return () => clearInterval(timer);
  }, []);
  return (
    <span aria-hidden="true" className="whitespace-nowrap font-medium">
      {text.asOf.replace('{age}', duration(now - since))}
    </span>
  );
}
