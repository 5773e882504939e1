import { INTERVALS, type Interval, isInterval, type QuoteResource } from '@millrace/contracts';
import { useQuery } from '@tanstack/react-query';
import { useEffect, useState } from 'react';
import { Link } from 'wouter';
import { api } from '../api.ts';
import { useLive } from '../live/live.ts';
import { millrace } from '../live/stream.ts';
import { withTimes } from '../live/times.ts';
import { newestTrades, type ShownTrade } from '../live/trades.ts';
import { SimulatedBadge, StatusBadge } from '../parts/badges.tsx';
import { CandleChart } from '../parts/candle-chart.tsx';
import { differenceOf, showDecimal } from '../parts/decimals.ts';
import { Notice } from '../parts/notice.tsx';
import { useFormats } from '../parts/numbers.ts';
import { Change, Price } from '../parts/price.tsx';
import { type Text, useText } from '../text/text.ts';

const INTERVAL_KEY = 'millrace.interval';

/** One instrument: chart, quote, trades and data quality. */
export function ChartPage({ id }: { id: string }) {
  const text = useText();
  const instruments = useLive((live) => live.instruments);
  const instrument = instruments?.get(id);
  const [interval, setInterval] = useState<Interval>(() => {
    const stored = localStorage.getItem(INTERVAL_KEY);
    return isInterval(stored) ? stored : '1m';
  });
  const choose = (next: Interval) => {
    localStorage.setItem(INTERVAL_KEY, next);
    setInterval(next);
  };
  if (instruments === null) return <Notice title={text.loading} />;
  if (!instrument)
    return <Notice title={`${text.noMatch}: ${id}`} hint={text.noInstrumentsHint} way={{ href: '/', label: text.allInstruments }} />;
  const { base, quote, source, simulated, price, dayOpen, status, reason } = instrument;
  return (
    <div className="flex flex-1 flex-col gap-3 py-4">
      <div className="flex flex-wrap items-center gap-x-4 gap-y-1">
        <Link href="/" className="text-muted hover:text-ink" aria-label={text.allInstruments}>
          ←
        </Link>
        <h1 className="font-semibold text-lg">
          {base}
          <span className="text-muted">/{quote}</span>
          <span className="ml-2 font-normal text-muted text-sm">{source}</span>
        </h1>
        {simulated && <SimulatedBadge />}
        <StatusBadge status={status} reason={reason} />
        <div className="ml-auto flex items-baseline gap-3">
          <Price price={price} className="font-semibold text-2xl" />
          <Change open={dayOpen} price={price} />
        </div>
      </div>
      {status === 'stale' && (
        <p role="alert" className="rounded-md bg-warn-soft px-3 py-2 text-sm text-warn">
          {text.staleBanner} {reason}
        </p>
      )}
      <div className="grid flex-1 gap-3 lg:grid-cols-[minmax(0,1fr)_300px]">
        <section className="flex min-h-[460px] flex-col overflow-hidden rounded-lg border border-line bg-surface">
          <IntervalPicker interval={interval} onChoose={choose} />
          <CandleChart key={`${id} ${interval}`} id={id} interval={interval} />
        </section>
        <aside className="grid content-start gap-3 sm:grid-cols-2 lg:grid-cols-1">
          <QuotePanel id={id} text={text} />
          <QualityPanel id={id} text={text} />
          <TradesPanel id={id} text={text} />
        </aside>
      </div>
    </div>
  );
}

function IntervalPicker({ interval, onChoose }: { interval: Interval; onChoose: (interval: Interval) => void }) {
  return (
    <div className="flex gap-0.5 overflow-x-auto border-line border-b px-2 py-1.5 text-xs [scrollbar-width:none]" role="toolbar">
      {INTERVALS.map((name) => (
        <button
          type="button"
          key={name}
          onClick={() => onChoose(name)}
          aria-pressed={name === interval}
          className={`rounded px-2 py-1 ${name === interval ? 'bg-accent-soft font-medium text-accent' : 'text-muted hover:text-ink'}`}
        >
          {name}
        </button>
      ))}
    </div>
  );
}

function Panel({ title, children, className = '' }: { title: string; children: React.ReactNode; className?: string }) {
  return (
    <section className={`rounded-lg border border-line bg-surface p-3 ${className}`}>
      <h2 className="mb-2 text-muted text-xs">{title}</h2>
      {children}
    </section>
  );
}

function QuotePanel({ id, text }: { id: string; text: Text }) {
  const first = useQuery({ queryKey: ['quote', id], queryFn: () => api.quote(id), retry: false });
  const [live, setLive] = useState<QuoteResource | null>(null);
  useEffect(
    () => millrace.watch([`quotes:${id}`], ({ event, data }) => event === 'quote' && setLive(withTimes<QuoteResource>(data))),
    [id],
  );
  const quote = live ?? first.data;
  const spread = quote ? showDecimal(differenceOf(quote.ask, quote.bid)) : '–';
  return (
    <Panel title={`${text.bid} / ${text.ask}`}>
      <div className="grid min-h-14 grid-cols-2 gap-2 text-sm">
        <div>
          <div className="font-medium text-up">{quote ? showDecimal(quote.bid) : '–'}</div>
          <div className="truncate text-muted text-xs">{quote ? showDecimal(quote.bidQuantity) : ''}</div>
        </div>
        <div className="text-right">
          <div className="font-medium text-down">{quote ? showDecimal(quote.ask) : '–'}</div>
          <div className="truncate text-muted text-xs">{quote ? showDecimal(quote.askQuantity) : ''}</div>
        </div>
      </div>
      <div className="flex justify-between text-muted text-xs">
        <span>{text.spread}</span>
        <span>{spread}</span>
      </div>
    </Panel>
  );
}

const QUALITY_ORDER = [
  'duplicates',
  'gaps',
  'repaired',
  'late',
  'lateBeyondWindow',
  'outOfOrder',
  'outliers',
  'clockSkew',
  'quarantined',
  'bookBreaks',
  'candlesDiffering',
] as const;

function QualityPanel({ id, text }: { id: string; text: Text }) {
  const { whole } = useFormats();
  const { data } = useQuery({ queryKey: ['quality', id], queryFn: () => api.quality(id), refetchInterval: 5_000 });
  const worth = data ? QUALITY_ORDER.filter((name) => data.counts[name] > 0) : [];
  return (
    <Panel title={text.quality}>
      <dl className="grid min-h-14 grid-cols-[1fr_auto] content-start gap-y-1 text-sm">
        <dt className="text-muted">{text.trades}</dt>
        <dd className="text-right">{data ? whole(data.counts.trades) : '–'}</dd>
        {worth.map((name) => (
          <div key={name} className="contents">
            <dt className="text-muted">{text[name]}</dt>
            <dd className="text-right">{whole(data?.counts[name] ?? 0)}</dd>
          </div>
        ))}
        {data && worth.length === 0 && <dt className="col-span-2 text-accent">{text.allGood}</dt>}
      </dl>
    </Panel>
  );
}

const TRADES_SHOWN = 18;

function TradesPanel({ id, text }: { id: string; text: Text }) {
  const { clock, day, when } = useFormats();
  const timeOf = (time: number) => (when(time) === clock(time) ? clock(time) : day(time));
  const trades = useNewestTrades(id);
  return (
    <Panel title={text.recentTrades} className="sm:col-span-2 lg:col-span-1">
      <table className="w-full table-fixed text-xs">
        <thead className="text-left text-muted">
          <tr>
            <th className="pb-1 font-normal">{text.price}</th>
            <th className="pb-1 text-right font-normal">{text.quantity}</th>
            <th className="pb-1 text-right font-normal">{text.time}</th>
          </tr>
        </thead>
        <tbody>
          {Array.from({ length: TRADES_SHOWN }, (_none, index) => trades[index]).map((trade, index) => (
            // biome-ignore lint/suspicious/noArrayIndexKey: the rows are places that stay, and trades pass through them.
            <tr key={index} className="h-5">
              <td className={trade?.side === 'buy' ? 'text-up' : 'text-down'}>{trade && showDecimal(trade.price)}</td>
              <td className="truncate text-right">{trade?.quantity}</td>
              <td className="text-right text-muted" title={trade && when(trade.time)}>
                {trade && timeOf(trade.time)}
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </Panel>
  );
}

/** Trades, newest first: earlier ones from the API, later ones from the stream. */
function useNewestTrades(id: string): readonly ShownTrade[] {
  const [trades, setTrades] = useState<readonly ShownTrade[]>([]);
  useEffect(() => {
    let waiting: ShownTrade[] = [];
    let frame = 0;
    let isOpen = true;
    const show = () => {
      frame = 0;
      const newest = waiting.reverse();
      waiting = [];
      setTrades((before) => newestTrades(newest, before, TRADES_SHOWN));
    };
    const read = () =>
      api.trades(id, TRADES_SHOWN).then(
        ({ rows }) => {
          const past = rows.map(([time, price, quantity, side, tradeId]) => ({ time, price, quantity, side, id: tradeId }) as ShownTrade);
          if (isOpen) setTrades((live) => newestTrades(live, past, TRADES_SHOWN));
        },
        () => {},
      );
    const stop = millrace.watch([`trades:${id}`], ({ event, data }) => {
      if (event === 'gap') void read();
      if (event !== 'trade') return;
      waiting.push(data as ShownTrade);
      if (frame === 0) frame = requestAnimationFrame(show);
    });
    void read();
    return () => {
      isOpen = false;
      cancelAnimationFrame(frame);
      stop();
    };
  }, [id]);
  return trades;
}
