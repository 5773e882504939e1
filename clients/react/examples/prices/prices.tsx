// A page of your own, on a server of its own: ?server=http://127.0.0.1:7420&key=mill_yourKey
import { apiKey, createClient } from '@millrace/client';
import { MillraceProvider, useCandles, useChannel, useEvents, useMillrace } from '@millrace/react';
import { useState } from 'react';
import { createRoot } from 'react-dom/client';

const asked = new URLSearchParams(location.search);
const millrace = createClient({ url: asked.get('server') ?? '', credentials: apiKey(asked.get('key') ?? '') });
const INSTRUMENT = 'simulator:BTC-USDT';

function Prices() {
  const { candles, status } = useCandles(INSTRUMENT, '1s', 60);
  const {
    events: { quote },
    error,
  } = useChannel(`quotes:${INSTRUMENT}`);
  return (
    <section>
      <h1>{INSTRUMENT}</h1>
      <p data-testid="status">{status}</p>
      <p data-testid="candles">{candles.length}</p>
      <p data-testid="close">{candles.at(-1)?.close}</p>
      <p data-testid="quote">{quote && `${quote.bid} / ${quote.ask}`}</p>
      {error && <p role="alert">{`${error.message} ${error.remedy}`}</p>}
    </section>
  );
}

function Snapshots() {
  const { regenerateSnapshot } = useMillrace();
  const [made, setMade] = useState(0);
  const { status } = useEvents(['snapshots.generated'], () => setMade(made + 1));
  return (
    <section>
      <p data-testid="live">{status}</p>
      <p data-testid="made">{made}</p>
      <button type="button" onClick={() => void regenerateSnapshot()}>
        Make it anew
      </button>
    </section>
  );
}

function App() {
  const [isShown, setShown] = useState(true);
  return (
    <MillraceProvider client={millrace}>
      <button type="button" onClick={() => setShown(!isShown)}>
        {isShown ? 'Hide' : 'Show'}
      </button>
      {isShown && <Prices />}
      {isShown && <Snapshots />}
    </MillraceProvider>
  );
}

createRoot(document.getElementById('root') as HTMLElement).render(<App />);
