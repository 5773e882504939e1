import { type Candle, type CandleOrigin, INTERVAL_MS, INTERVALS, type Interval, openingOf, type ReopenedCandle } from '@millrace/contracts';

/*
 * The definition of a candle. A trade belongs to the candles whose interval contains its time. Trades are ordered by (time, order, arrival): the first
 * one gives the open, the last one the close. A candle of the venue replaces all data within its interval. A larger candle that contains one is built
 * from its smaller candles. So the result does not depend on the order of arrival.
 */

/** A candle in memory, which can still change. */
export interface Bar {
  time: number;
  open: number;
  high: number;
  low: number;
  close: number;
  volume: number;
  /** Rounding error of `volume` so far (Neumaier summation). */
  volumeError: number;
  /** Largest number of decimals of a quantity. The volume is rounded to it when it is returned. */
  decimals: number;
  trades: number;
  /** For a bar of trades: time and order of the first trade, and of the last one. */
  firstTime: number;
  firstOrder: number;
  lastTime: number;
  lastOrder: number;
  closed: boolean;
  version: number;
  /** `trades`: made of trades. `venue`: a candle of the venue. `mixed`: contains a candle of the venue. */
  origin: CandleOrigin;
  /** Whether all its smaller bars are in memory and complete. False after data that was too late for them, and for bars of old snapshots. */
  isWhole: boolean;
  /** Set when smaller bars of it are not in memory although it is exact: it cannot be built from its smaller bars. */
  lacksParts?: true;
}

/** Bars of each interval, oldest first. */
export type Bars = Record<Interval, Bar[]>;

export function noBars(): Bars {
  return Object.fromEntries(INTERVALS.map((interval) => [interval, [] as Bar[]])) as Bars;
}

/** Bars of an old snapshot, which has no smaller bars of larger ones. */
export function upcastBars(older: Record<Interval, readonly Partial<Bar>[]>, newestAt: number): Bars {
  const bars = noBars();
  for (const interval of INTERVALS)
    for (const bar of older[interval] ?? []) {
      const { time = 0 } = bar;
      const lastTime = Math.min(time + INTERVAL_MS[interval], newestAt);
      bars[interval].push({ ...emptyBar(time, 'trades'), ...bar, lastTime, origin: 'trades', isWhole: interval === '1s' });
    }
  return bars;
}

export function endOf(bar: Bar, interval: Interval): number {
  return bar.time + INTERVAL_MS[interval];
}

/** Whether candles of one interval consist of whole candles of another. */
export function holds(larger: Interval, smaller: Interval): boolean {
  return INTERVAL_MS[larger] > INTERVAL_MS[smaller] && INTERVAL_MS[larger] % INTERVAL_MS[smaller] === 0;
}

/** The next smaller intervals of each interval, largest first: 5m and 3m for 15m. */
const PARTS: Readonly<Record<Interval, readonly Interval[]>> = nextTo((interval, part) => holds(interval, part)).parts;
/** The next larger intervals of each interval. */
const WHOLES: Readonly<Record<Interval, readonly Interval[]>> = nextTo((interval, part) => holds(interval, part)).wholes;

function nextTo(divides: (interval: Interval, part: Interval) => boolean) {
  const parts = {} as Record<Interval, Interval[]>;
  const wholes = Object.fromEntries(INTERVALS.map((interval) => [interval, []])) as unknown as Record<Interval, Interval[]>;
  for (const interval of INTERVALS) {
    const all = INTERVALS.filter((part) => divides(interval, part));
    parts[interval] = all.filter((part) => !all.some((between) => divides(between, part))).reverse();
    for (const part of parts[interval]) wholes[part].push(interval);
  }
  return { parts, wholes };
}

/** The fields of a trade that bars need. */
export interface Contribution {
  readonly time: number;
  readonly order: number;
  readonly price: number;
  readonly quantity: number;
  /** Decimals of the quantity. */
  readonly decimals: number;
}

/** Whether only the store has the exact bar. */
export function isInexact({ isWhole, origin }: Bar): boolean {
  return !isWhole && origin !== 'venue';
}

/** Adds a trade to the bars of its time; creates missing ones. Bars that ended before `keptFrom` and are no longer in memory are not changed. */
export function addTrade(bars: Bars, trade: Contribution, keptFrom: number): void {
  const lacking: Interval[] = [];
  for (const interval of INTERVALS) {
    const list = bars[interval];
    const newest = list.at(-1);
    const isNewest = newest !== undefined && trade.time >= newest.time && trade.time < newest.time + INTERVAL_MS[interval];
    const opening = isNewest ? newest.time : openingOf(trade.time, interval);
    const bar = isNewest ? newest : barAt(list, opening);
    const lacksParts = lacking.length > 0 && PARTS[interval].some((part) => lacking.includes(part));
    if (!bar) {
      if ((newest && opening > newest.time) || opening + INTERVAL_MS[interval] >= keptFrom) {
        const created = barOf(opening, trade);
        if (lacksParts) created.lacksParts = true;
        insert(list, created);
      } else lacking.push(interval);
      continue;
    }
    if (lacksParts || (bar.origin === 'mixed' && bar.lacksParts)) {
      bar.isWhole = false;
      lacking.push(interval);
    }
    if (bar.origin === 'trades') add(bar, trade);
    else if (bar.origin === 'mixed' && !bar.isWhole) add(bar, trade);
    else if (bar.origin === 'mixed') compose(bars, interval, bar);
  }
}

/** Replaces the data of an interval by a candle of the venue. */
export function setCandle(bars: Bars, interval: Interval, candle: Candle, keptFrom: number): void {
  const before = barAt(bars[interval], candle.time);
  const known = { volume: before ? volumeOf(before) : 0, trades: before?.trades ?? 0 };
  const isNewest = candle.time >= (bars[interval].at(-1)?.time ?? 0);
  const lacking: Interval[] = [];
  for (const each of INTERVALS) {
    if (each !== interval && !holds(each, interval)) continue;
    const list = bars[each];
    const opening = openingOf(candle.time, each);
    let bar = barAt(list, opening);
    if (!bar) {
      const newest = list.at(-1);
      if ((!newest || opening < newest.time) && opening + INTERVAL_MS[each] < keptFrom) {
        lacking.push(each);
        continue;
      }
      bar = emptyBar(opening, 'mixed');
      insert(list, bar);
    }
    const lacksParts = lacking.length > 0 && PARTS[each].some((part) => lacking.includes(part));
    if (lacksParts || (each !== interval && bar.lacksParts)) {
      bar.isWhole = false;
      lacking.push(each);
    }
    if (each === interval) {
      Object.assign(bar, candle, { volumeError: 0, decimals: decimalsOf(String(candle.volume)), origin: 'venue' });
    } else if (bar.origin === 'venue') continue;
    else if (bar.isWhole) compose(bars, each, bar);
    else merge(bar, candle, known, isNewest);
  }
}

/** Adds a candle to a bar whose smaller bars are not complete. The result is an approximation. */
function merge(bar: Bar, candle: Candle, known: { volume: number; trades: number }, isNewest: boolean): void {
  if (candle.time === bar.time) bar.open = candle.open;
  if (isNewest) bar.close = candle.close;
  bar.high = Math.max(bar.high, candle.high);
  bar.low = Math.min(bar.low, candle.low);
  addVolume(bar, candle.volume - known.volume, decimalsOf(String(candle.volume)));
  bar.trades += candle.trades - known.trades;
  bar.origin = 'mixed';
}

/** Builds a bar from its smaller bars, all of which must be in memory. */
function compose(bars: Bars, interval: Interval, bar: Bar): void {
  const parts = partsOf(bars, interval, bar.time);
  const [first] = parts;
  const last = parts.at(-1);
  if (!first || !last) return;
  const { open, firstTime, firstOrder } = first;
  const { close, lastTime, lastOrder } = last;
  Object.assign(bar, { open, close, firstTime, firstOrder, lastTime, lastOrder });
  Object.assign(bar, { high: first.high, low: first.low, volume: 0, volumeError: 0, decimals: 0, trades: 0, origin: 'trades' });
  for (const part of parts) {
    bar.high = Math.max(bar.high, part.high);
    bar.low = Math.min(bar.low, part.low);
    bar.trades += part.trades;
    addVolume(bar, part.volume, part.decimals);
    bar.volumeError += part.volumeError;
    if (part.origin !== 'trades') bar.origin = 'mixed';
  }
}

/** The smaller bars of a bar: those of the interval with the most candles of the venue, else of the largest interval. */
function partsOf(bars: Bars, interval: Interval, time: number): Bar[] {
  const end = time + INTERVAL_MS[interval];
  let chosen: Bar[] = [];
  let mostGiven = -1;
  for (const part of PARTS[interval]) {
    const list = bars[part];
    let from = list.length;
    while (from > 0 && (list[from - 1] as Bar).time >= time) from--;
    const within = list.slice(from).filter((bar) => bar.time < end);
    if (within.length === 0) continue;
    const given = within.filter(({ origin }) => origin === 'venue').length * INTERVAL_MS[part];
    if (given > mostGiven) {
      chosen = within;
      mostGiven = given;
    }
  }
  return chosen;
}

export function barAt(bars: readonly Bar[], time: number): Bar | undefined {
  for (let index = bars.length - 1; index >= 0; index--) {
    const bar = bars[index] as Bar;
    if (bar.time === time) return bar;
    if (bar.time < time) return undefined;
  }
  return undefined;
}

/** Removes bars that ended before `keptFrom`, except the newest one and those within a larger bar that did not end. */
export function prune(bars: Bars, interval: Interval, keptFrom: number): void {
  const list = bars[interval];
  const [oldest] = list;
  if (!oldest || list.length === 1 || endOf(oldest, interval) >= keptFrom) return;
  let from = keptFrom;
  for (const whole of WHOLES[interval]) from = Math.min(from, openingOf(keptFrom, whole));
  let gone = 0;
  while (gone < list.length - 1 && endOf(list[gone] as Bar, interval) < from) gone++;
  for (const { time } of list.splice(0, gone))
    for (const whole of WHOLES[interval]) {
      const bar = barAt(bars[whole], openingOf(time, whole));
      if (bar) bar.lacksParts = true;
    }
}

export function candleOf(bar: Bar): Candle {
  return {
    time: bar.time,
    open: bar.open,
    high: bar.high,
    low: bar.low,
    close: bar.close,
    volume: volumeOf(bar),
    trades: bar.trades,
  };
}

/** The exact sum of the quantities, as the nearest double. */
function volumeOf({ volume, volumeError, decimals }: Bar): number {
  return roundedSum(volume + volumeError, decimals);
}

/** A sum of quantities, rounded to their decimals. */
export function roundedSum(sum: number, decimals: number): number {
  return decimals <= DECIMALS_MAX ? Number(sum.toFixed(decimals)) : sum;
}

/** Maximum number of decimals to round to: a double has no more digits. */
const DECIMALS_MAX = 12;

/** Number of decimals of a quantity, as the venue wrote it. */
export function decimalsOf(quantity: string): number {
  const point = quantity.indexOf('.');
  if (quantity.includes('e') || quantity.includes('E')) return Number.POSITIVE_INFINITY;
  return point < 0 ? 0 : quantity.length - point - 1;
}

function emptyBar(time: number, origin: CandleOrigin): Bar {
  const key = { firstTime: time, firstOrder: 0, lastTime: time, lastOrder: 0 };
  const values = { open: 0, high: 0, low: 0, close: 0, volume: 0, volumeError: 0, decimals: 0, trades: 0 };
  return { time, ...values, ...key, closed: false, version: 0, origin, isWhole: true };
}

function barOf(opening: number, { time, order, price, quantity, decimals }: Contribution): Bar {
  return {
    time: opening,
    open: price,
    high: price,
    low: price,
    close: price,
    volume: quantity,
    volumeError: 0,
    decimals,
    trades: 1,
    firstTime: time,
    firstOrder: order,
    lastTime: time,
    lastOrder: order,
    closed: false,
    version: 0,
    origin: 'trades',
    isWhole: true,
  };
}

/** A bar from the data of the store, instead of memory. When it closes, the store computes it again. */
export function reopenedBar({ candle, version, ...rest }: Omit<ReopenedCandle, 'interval'>): Bar {
  return { ...candle, ...rest, volumeError: 0, closed: version > 0, version, isWhole: false };
}

function insert(list: Bar[], bar: Bar): void {
  let at = list.length;
  while (at > 0 && (list[at - 1] as Bar).time > bar.time) at--;
  if (at === list.length) list.push(bar);
  else list.splice(at, 0, bar);
}

function add(bar: Bar, { time, order, price, quantity, decimals }: Contribution): void {
  if (price > bar.high) bar.high = price;
  if (price < bar.low) bar.low = price;
  if (time > bar.lastTime || (time === bar.lastTime && order >= bar.lastOrder)) {
    bar.close = price;
    bar.lastTime = time;
    bar.lastOrder = order;
  }
  if (time < bar.firstTime || (time === bar.firstTime && order < bar.firstOrder)) {
    bar.open = price;
    bar.firstTime = time;
    bar.firstOrder = order;
  }
  addVolume(bar, quantity, decimals);
  bar.trades++;
}

function addVolume(bar: Bar, quantity: number, decimals: number): void {
  const sum = bar.volume + quantity;
  bar.volumeError += Math.abs(bar.volume) >= Math.abs(quantity) ? bar.volume - sum + quantity : quantity - sum + bar.volume;
  bar.volume = sum;
  if (decimals > bar.decimals) bar.decimals = decimals;
}
