import { type Candle, type CandleOrigin, INTERVAL_MS, INTERVALS, type Interval, openingOf, type ReopenedCandle } from '@millrace/contracts';

/*
 * What a candle is. A trade belongs to the candles whose interval holds its time, and stands among the others by (time, order, arrival): the first of
 * them opens, the last one closes. A candle of the venue takes the place of everything within its interval. Any other candle that has one inside is made
 * of the candles it is divided into, so a candle is the same in the end, whatever came first.
 */

/** A candle while it can still change. */
export interface Bar {
  time: number;
  open: number;
  high: number;
  low: number;
  close: number;
  volume: number;
  /** What rounding has cut from `volume` so far (Neumaier’s summation). */
  volumeError: number;
  /** Most decimals of any quantity in it: the sum of decimals has no more, which is what it is rounded to when shown. */
  decimals: number;
  trades: number;
  /** Of a bar made of trades: time and order of the one that opens it, and of the one that closes it. */
  firstTime: number;
  firstOrder: number;
  lastTime: number;
  lastOrder: number;
  closed: boolean;
  version: number;
  /** `trades`: made of trades. `venue`: the venue’s own. `mixed`: one of the venue’s lies within. */
  origin: CandleOrigin;
  /** Whether the bars it is divided into are all known, with all that is in them: not where something came too late for them, or was kept before they were. */
  isWhole: boolean;
}

/** Bars of every interval, oldest first; the last one is the newest. */
export type Bars = Record<Interval, Bar[]>;

export function noBars(): Bars {
  return Object.fromEntries(INTERVALS.map((interval) => [interval, [] as Bar[]])) as Bars;
}

/** Bars of a snapshot from before those that a larger one is divided into were kept. */
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

/** Whether candles of one interval are made of whole ones of another. */
export function holds(larger: Interval, smaller: Interval): boolean {
  return INTERVAL_MS[larger] > INTERVAL_MS[smaller] && INTERVAL_MS[larger] % INTERVAL_MS[smaller] === 0;
}

/** The intervals that each is divided into next, largest first: 15m into 5m or 3m. */
const PARTS: Readonly<Record<Interval, readonly Interval[]>> = nextTo((interval, part) => holds(interval, part)).parts;
/** The intervals that are divided into each next. */
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

/** What bars need to know of a trade. */
export interface Contribution {
  readonly time: number;
  readonly order: number;
  readonly price: number;
  readonly quantity: number;
  /** Decimals of the quantity. */
  readonly decimals: number;
}

/** Whether only the store can tell exactly what the bar is. */
export function isInexact({ isWhole, origin }: Bar): boolean {
  return !isWhole && origin !== 'venue';
}

/** Takes a trade into the bars of its time, made if missing. Bars that ended before `keptFrom` and are gone stay as they are. */
export function addTrade(bars: Bars, trade: Contribution, keptFrom: number): void {
  const lacking: Interval[] = [];
  for (const interval of INTERVALS) {
    const list = bars[interval];
    const newest = list.at(-1);
    const isNewest = newest !== undefined && trade.time >= newest.time && trade.time < newest.time + INTERVAL_MS[interval];
    const opening = isNewest ? newest.time : openingOf(trade.time, interval);
    const bar = isNewest ? newest : barAt(list, opening);
    if (!bar) {
      if ((newest && opening > newest.time) || opening + INTERVAL_MS[interval] >= keptFrom) insert(list, barOf(opening, trade));
      else lacking.push(interval);
      continue;
    }
    if (lacking.length > 0 && PARTS[interval].some((part) => lacking.includes(part))) {
      bar.isWhole = false;
      lacking.push(interval);
    }
    if (bar.origin === 'trades') add(bar, trade);
    else if (bar.origin === 'mixed' && !bar.isWhole) add(bar, trade);
    else if (bar.origin === 'mixed') compose(bars, interval, bar);
  }
}

/** Puts a candle of the venue’s in the place of what is known of its interval. */
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
    if (lacking.length > 0 && PARTS[each].some((part) => lacking.includes(part))) {
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

/** Takes a candle into a bar whose parts are not all known: as near as can be. */
function merge(bar: Bar, candle: Candle, known: { volume: number; trades: number }, isNewest: boolean): void {
  if (candle.time === bar.time) bar.open = candle.open;
  if (isNewest) bar.close = candle.close;
  bar.high = Math.max(bar.high, candle.high);
  bar.low = Math.min(bar.low, candle.low);
  addVolume(bar, candle.volume - known.volume, decimalsOf(String(candle.volume)));
  bar.trades += candle.trades - known.trades;
  bar.origin = 'mixed';
}

/** Makes a bar anew of those it is divided into. */
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

/** The bars that one is divided into: of the intervals that it could be divided into, that of which the venue has given most; else the largest. */
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

/** Lets go of bars that ended before `keptFrom`, unless one that did not is divided into them; the newest always stays. */
export function prune(bars: Bars, interval: Interval, keptFrom: number): void {
  const list = bars[interval];
  const [oldest] = list;
  if (!oldest || list.length === 1 || endOf(oldest, interval) >= keptFrom) return;
  let from = keptFrom;
  for (const whole of WHOLES[interval]) from = Math.min(from, openingOf(keptFrom, whole));
  let gone = 0;
  while (gone < list.length - 1 && endOf(list[gone] as Bar, interval) < from) gone++;
  if (gone > 0) list.splice(0, gone);
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

/** Exactly the sum of the quantities, as near as a double comes to it. */
function volumeOf({ volume, volumeError, decimals }: Bar): number {
  return roundedSum(volume + volumeError, decimals);
}

/** A sum of quantities without what adding doubles has left behind their decimals. */
export function roundedSum(sum: number, decimals: number): number {
  return decimals <= DECIMALS_MAX ? Number(sum.toFixed(decimals)) : sum;
}

/** Beyond this a double has no digits left to round. */
const DECIMALS_MAX = 12;

/** Decimals of a quantity as the venue wrote it. */
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

/** A bar of what the store has, in the place of what memory knew: on closing, the store makes it anew. */
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
