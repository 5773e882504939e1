import { type CandleFrame, INTERVAL_MS, type Interval } from '@millrace/contracts';
import { useQuery } from '@tanstack/react-query';
import { CandlestickSeries, createChart, HistogramSeries, type IChartApi, type ISeriesApi, type UTCTimestamp } from 'lightweight-charts';
import { useEffect, useRef, useState } from 'react';
import { api } from '../api.ts';
import { millrace } from '../live/stream.ts';
import { usePreferences } from '../preferences.ts';
import { useText } from '../text/text.ts';
import { type Bar, mergedBars, putBar } from './bars.ts';
import { decimalsFor, showPrice } from './decimals.ts';
import { Failure, Notice } from './notice.tsx';
import { useFormats } from './numbers.ts';

/** Candles per request; scrolling back loads older ones. */
const PAGE = 600;
const SCROLL_MARGIN = 30;

/** Chart of candles and volume: history, then live updates, including the open candle. */
export function CandleChart({ id, interval }: { id: string; interval: Interval }) {
  const text = useText();
  const query = useQuery({ queryKey: ['candles', id, interval], queryFn: () => api.candles(id, interval, PAGE), staleTime: 0, gcTime: 0 });
  if (query.isPending) return <Notice title={text.loading} />;
  if (query.isLoadingError) return <Failure error={query.error} onRetry={() => void query.refetch()} />;
  return <Drawn id={id} interval={interval} first={barsOf(query.data)} />;
}

function Drawn({ id, interval, first }: { id: string; interval: Interval; first: Bar[] }) {
  const text = useText();
  const holder = useRef<HTMLDivElement>(null);
  const chart = useRef<Chart | null>(null);
  const { theme, language } = usePreferences();
  const [pointed, setPointed] = useState<Bar | null>(null);
  const [newest, setNewest] = useState<Bar | null>(first.at(-1) ?? null);

  // biome-ignore lint/correctness/useExhaustiveDependencies: the chart is made once; `first` only begins it.
  useEffect(() => {
    if (!holder.current) return;
    const drawn = new Chart(holder.current, interval, first, (time) => api.candles(id, interval, PAGE, time).then(barsOf));
    chart.current = drawn;
    drawn.onPoint(setPointed);
    // Loads candles again when the stream is live: some may have changed before it connected.
    const catchUp = () =>
      api.candles(id, interval, PAGE).then(
        (frame) => {
          drawn.merge(barsOf(frame));
          setNewest(drawn.newest);
        },
        () => {},
      );
    /** Candles since a gap, until the current ones are read: newer than the response. */
    let arrived: Bar[] | null = null;
    const startAgain = () => {
      const since: Bar[] = [];
      arrived = since;
      api.candles(id, interval, PAGE).then(
        (frame) => {
          if (arrived !== since) return;
          arrived = null;
          drawn.replace(barsOf(frame));
          for (const bar of since) drawn.put(bar);
          setNewest(drawn.newest);
        },
        () => {
          if (arrived === since) arrived = null;
        },
      );
    };
    const stop = millrace.watch(
      [`candles:${id}:${interval}`],
      ({ event, data }) => {
        if (event === 'gap') startAgain();
        if (event !== 'candle') return;
        arrived?.push(data as Bar);
        drawn.put(data as Bar);
        setNewest((before) => (before === null || (data as Bar).time >= before.time ? (data as Bar) : before));
      },
      { onStatus: (status) => status === 'live' && void catchUp() },
    );
    return () => {
      stop();
      arrived = null;
      drawn.remove();
      chart.current = null;
    };
  }, [id, interval]);

  // biome-ignore lint/correctness/useExhaustiveDependencies: colours come from the page, which theme and language change.
  useEffect(() => chart.current?.dress(language), [theme, language]);

  return (
    <div className="relative flex-1">
      <Legend bar={pointed ?? newest} />
      {newest === null && <p className="absolute inset-0 z-10 grid place-items-center text-muted text-sm">{text.noTrades}</p>}
      <div ref={holder} className="absolute inset-0" data-testid="chart" data-newest={newest ? `${newest.time} ${newest.close}` : ''} />
    </div>
  );
}

function Legend({ bar }: { bar: Bar | null }) {
  const text = useText();
  const { compact } = useFormats();
  if (!bar) return null;
  const colour = bar.close >= bar.open ? 'text-up' : 'text-down';
  const decimals = decimalsFor(bar.close);
  return (
    <dl className="pointer-events-none absolute top-2 left-3 z-10 flex flex-wrap gap-x-3 pr-16 text-xs">
      {(['open', 'high', 'low', 'close'] as const).map((name) => (
        <div key={name} className="flex gap-1">
          <dt className="text-muted">{text[name]}</dt>
          <dd className={colour}>{showPrice(bar[name], decimals)}</dd>
        </div>
      ))}
      <div className="flex gap-1">
        <dt className="text-muted">{text.volume}</dt>
        <dd>{compact(bar.volume)}</dd>
      </div>
    </dl>
  );
}

/** Wraps the chart library: updates bars, applies the colours of the page, and loads older bars when they come into view. */
class Chart {
  readonly #chart: IChartApi;
  readonly #candles: ISeriesApi<'Candlestick'>;
  readonly #volumes: ISeriesApi<'Histogram'>;
  readonly #interval: Interval;
  readonly #older: (before: number) => Promise<Bar[]>;
  #bars: Bar[];
  #fetching = false;
  #reachedStart = false;
  #removed = false;

  constructor(holder: HTMLElement, interval: Interval, first: Bar[], older: (before: number) => Promise<Bar[]>) {
    this.#interval = interval;
    this.#bars = first;
    this.#older = older;
    this.#chart = createChart(holder, { autoSize: true, layout: { attributionLogo: true } });
    this.#candles = this.#chart.addSeries(CandlestickSeries, { borderVisible: false });
    this.#volumes = this.#chart.addSeries(HistogramSeries, {
      priceScaleId: 'volume',
      priceFormat: { type: 'volume' },
      lastValueVisible: false,
      priceLineVisible: false,
    });
    this.#candles.priceScale().applyOptions({ scaleMargins: { top: 0.1, bottom: 0.26 } });
    this.#volumes.priceScale().applyOptions({ scaleMargins: { top: 0.8, bottom: 0 } });
    this.dress(document.documentElement.lang);
    this.#chart.timeScale().subscribeVisibleLogicalRangeChange((range) => {
      if (range && range.from < SCROLL_MARGIN) void this.#fetchOlder();
    });
    const visibleBars = Math.min(this.#bars.length, Math.max(40, Math.floor(holder.clientWidth / 8)));
    this.#chart.timeScale().setVisibleLogicalRange({ from: this.#bars.length - visibleBars, to: this.#bars.length + 3 });
  }

  put(bar: Bar): void {
    const at = putBar(this.#bars, bar, this.#reachedStart);
    if (at === null) return;
    if (at < this.#bars.length - 1) return this.#drawAll();
    if (this.#bars.length === 1) return this.dress(document.documentElement.lang);
    this.#candles.update(candlePoint(bar));
    this.#volumes.update(volumePoint(bar));
  }

  /** Adds stored bars; the open bar may be newer here already. */
  merge(bars: readonly Bar[]): void {
    this.#bars = mergedBars(this.#bars, bars);
    this.#drawAll();
  }

  /** Replaces the newest bars by a page: the others within it were withdrawn. */
  replace(page: readonly Bar[]): void {
    const from = page.length < PAGE ? Number.NEGATIVE_INFINITY : (page[0]?.time ?? 0);
    this.#bars = [...this.#bars.filter(({ time }) => time < from), ...page];
    this.#drawAll();
  }

  get newest(): Bar | null {
    return this.#bars.at(-1) ?? null;
  }

  onPoint(listener: (bar: Bar | null) => void): void {
    this.#chart.subscribeCrosshairMove(({ time }) =>
      listener(time === undefined ? null : (this.#bars.find((bar) => bar.time === Number(time) * 1_000) ?? null)),
    );
  }

  dress(language: string): void {
    const colour = (name: string) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
    const price = this.#bars.at(-1)?.close ?? 1;
    const decimals = decimalsFor(price);
    const hasSeconds = INTERVAL_MS[this.#interval] < INTERVAL_MS['1m'];
    const isDaily = INTERVAL_MS[this.#interval] >= INTERVAL_MS['1d'];
    const format = (options: Intl.DateTimeFormatOptions) => {
      const formatter = new Intl.DateTimeFormat(language, { ...options, ...(isDaily && { timeZone: 'UTC' }), hourCycle: 'h23' });
      return (time: unknown) => formatter.format(Number(time) * 1_000);
    };
    const marks = [
      format({ year: 'numeric' }),
      format({ month: 'short' }),
      format({ month: 'numeric', day: 'numeric' }),
      format({ hour: '2-digit', minute: '2-digit' }),
      format({ hour: '2-digit', minute: '2-digit', second: '2-digit' }),
    ];
    this.#chart.applyOptions({
      layout: { background: { color: 'transparent' }, textColor: colour('muted'), fontFamily: getComputedStyle(document.body).fontFamily },
      grid: { vertLines: { color: colour('line') }, horzLines: { color: colour('line') } },
      rightPriceScale: { borderColor: colour('line') },
      timeScale: {
        borderColor: colour('line'),
        timeVisible: !isDaily,
        secondsVisible: hasSeconds,
        tickMarkFormatter: (time: unknown, kind: number) => (marks[kind] ?? marks[3])?.(time) ?? '',
      },
      localization: {
        timeFormatter: isDaily
          ? format({ dateStyle: 'medium' })
          : format({ dateStyle: 'medium', timeStyle: hasSeconds ? 'medium' : 'short' }),
      },
    });
    this.#candles.applyOptions({
      upColor: colour('up'),
      downColor: colour('down'),
      wickUpColor: colour('up'),
      wickDownColor: colour('down'),
      priceFormat: { type: 'price', precision: decimals, minMove: 10 ** -decimals },
    });
    this.#drawAll();
  }

  remove(): void {
    this.#removed = true;
    this.#chart.remove();
  }

  #drawAll(): void {
    // The response may arrive after the chart was closed.
    if (this.#removed) return;
    this.#candles.setData(this.#bars.map(candlePoint));
    this.#volumes.setData(this.#bars.map(volumePoint));
  }

  async #fetchOlder(): Promise<void> {
    const oldest = this.#bars[0];
    if (this.#fetching || this.#reachedStart || !oldest) return;
    this.#fetching = true;
    try {
      const older = (await this.#older(oldest.time)).filter(({ time }) => time < oldest.time);
      this.#reachedStart = older.length === 0;
      if (older.length > 0) {
        this.#bars = [...older, ...this.#bars];
        this.#drawAll();
      }
    } catch {
      // A failed request changes nothing; scrolling retries it.
    } finally {
      this.#fetching = false;
    }
  }
}

/** Bars of a page of candles, oldest first. */
function barsOf({ rows }: CandleFrame): Bar[] {
  return rows.map(barOf).reverse();
}

function barOf(row: number[]): Bar {
  const [time = 0, open = 0, high = 0, low = 0, close = 0, volume = 0] = row;
  return { time, open, high, low, close, volume };
}

const seconds = (time: number) => (time / 1_000) as UTCTimestamp;

function candlePoint({ time, open, high, low, close }: Bar) {
  return { time: seconds(time), open, high, low, close };
}

function volumePoint({ time, open, close, volume }: Bar) {
  const name = close >= open ? '--up' : '--down';
  const colour = getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  return { time: seconds(time), value: volume, color: `${colour}55` };
}
