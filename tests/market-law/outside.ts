import { once } from 'node:events';
import { appendFileSync, writeFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { type WebSocket, WebSocketServer } from 'ws';
import { candleItem, historyPage, itemOf, quoteFrame, symbolOf, tradeFrame } from './formats.ts';
import {
  type GivenCandle,
  hasHistory,
  type Instrument,
  idOf,
  isFile,
  isNumbered,
  isPolled,
  type SourceStory,
  type Step,
  type Trade,
} from './story.ts';

/** Number of newest trades or candles of an instrument in a document. */
const DOCUMENT_TRADES = 12;
const DOCUMENT_CANDLES = 4;
const STEPS_AT_ONCE = 40;
/** Kinds that need a subscription first. */
const ASKED_FIRST: readonly string[] = ['coinbase', 'kraken-v1', 'kraken-v2', 'upbit'];
const WILD_NUMBER = 9_007_199_254_000_000;

/** Facts about sent messages, for the check. */
export type Tell = (fact: Record<string, unknown>) => void;

/** Simulated venue of one source: executes its history and records the facts. */
class Venue {
  readonly story: SourceStory;
  readonly #tell: Tell;
  readonly #folder: string;
  readonly #steps: readonly Step[];
  /** Number of trades so far, by symbol. */
  readonly #happened = new Map<string, number>();
  readonly #candles = new Map<Instrument, Map<number, GivenCandle>>();
  readonly #told = new Set<string>();
  /** Instruments with a new trade on this connection. */
  readonly #live = new Set<Instrument>();
  #socket: WebSocket | null = null;
  #at = 0;
  #historyAnswers: 'right' | '503' = 'right';
  #sent = 0;
  /** Number of requests that a polled venue still fails. */
  #awayFor = 0;
  requests = 0;

  constructor(story: SourceStory, folder: string, tell: Tell) {
    this.story = story;
    this.#tell = tell;
    this.#folder = folder;
    this.#steps = story.kind === 'file-csv' ? story.steps.toSorted(byTime) : story.steps;
    if (story.kind === 'file-csv') writeFileSync(`${folder}/rows.csv`, 'pair,at,p,q,s,id\n');
    if (story.kind === 'file-jsonl') this.#writeAll();
  }

  get isOver(): boolean {
    return this.#at >= this.#steps.length;
  }

  get progress(): number {
    return this.#steps.length === 0 ? 1 : this.#at / this.#steps.length;
  }

  /** Stops sending until the next connection. */
  attach(socket: WebSocket): void {
    // Unsent trades happen before the next connection, which reads the history.
    while (isUnheard(this.#steps[this.#at])) this.#do(this.#steps[this.#at++] as Step);
    this.#socket = socket;
    this.#live.clear();
    socket.on('close', () => {
      if (this.#socket === socket) this.#socket = null;
    });
    socket.on('error', () => {});
    if (ASKED_FIRST.includes(this.story.kind)) {
      this.#socket = null;
      socket.once('message', () => {
        if (socket.readyState === socket.OPEN) this.#socket = socket;
      });
    }
  }

  /** Executes steps up to `until`, or until there is no connection. @returns whether it executed any */
  go(until: number): boolean {
    const { kind } = this.story;
    if (isPolled(kind)) return false;
    const last = Math.min(this.#steps.length, Math.ceil(this.#steps.length * until));
    let done = 0;
    const canDo = (step: Step | undefined) => this.#socket !== null || isFile(kind) || isUnheard(step);
    while (this.#at < last && done < STEPS_AT_ONCE && canDo(this.#steps[this.#at])) {
      this.#do(this.#steps[this.#at++] as Step);
      done++;
    }
    return done > 0;
  }

  history(url: URL, response: ServerResponse): void {
    // The state of an order book, which no history has, is requested for ever.
    if (!url.pathname.endsWith('/depth')) this.requests++;
    if (this.#historyAnswers === '503') return void response.writeHead(503, { 'retry-after': '0' }).end();
    const known = (symbol: string) => this.#known(symbol).filter(({ isForgotten }) => !isForgotten);
    const body = historyPage(this.story.kind, url, known) ?? this.#klines(url);
    if (body === undefined) return void response.writeHead(404).end();
    response.writeHead(200, { 'content-type': 'application/json' }).end(body);
  }

  /** The current document; each request executes some more steps. */
  document(response: ServerResponse, until: number): void {
    this.requests++;
    const last = Math.min(this.#steps.length, Math.ceil(this.#steps.length * until));
    const many = Math.max(1, Math.ceil(this.#steps.length / 30));
    for (let step = 0; step < many && this.#at < last; step++) this.#do(this.#steps[this.#at++] as Step);
    if (this.#awayFor > 0) {
      this.#awayFor--;
      return void response.writeHead(503).end();
    }
    const body = this.story.kind === 'poll-candles' ? this.#candleDocument() : this.#tradeDocument();
    response.writeHead(200, { 'content-type': 'application/json' }).end(body);
  }

  close(): void {
    this.#socket?.terminate();
    this.#socket = null;
  }

  #do(step: Step): void {
    switch (step.what) {
      case 'trade':
        this.#happen(step.at, step.trade);
        this.#live.add(step.at);
        return this.#sendTrade(step.at, step.trade);
      case 'unsent':
        return this.#happen(step.at, step.trade);
      case 'again':
      case 'late':
        // Without trade numbers, the first trade of a new connection ends a gap: no venue starts with an old one.
        if (hasHistory(this.story.kind) && !isNumbered(this.story.kind) && !this.#live.has(step.at)) return;
        return this.#sendTrade(step.at, step.trade);
      case 'frame':
        for (const { at, trade } of step.of) this.#happen(at, trade);
        if (!step.isSent) return;
        this.#socket?.send(step.binary ? Buffer.from(step.text) : step.text);
        for (const { at, trade } of step.of) {
          this.#live.add(at);
          this.#note(at, trade);
        }
        return;
      case 'candle': {
        const known = this.#candles.get(step.at) ?? new Map<number, GivenCandle>();
        this.#candles.set(step.at, known.set(step.candle.time, step.candle));
        return;
      }
      case 'quote':
        return this.#send(quoteFrame(step.at, step.time, '100.1'));
      case 'bad':
        return this.#sendBad(step);
      case 'wild':
        this.#tell({ fact: 'wild', instrument: idOf(step.at), id: String(WILD_NUMBER) });
        return this.#send(tradeFrame(step.at, { ...step.trade, id: String(WILD_NUMBER) }));
      case 'cut':
        this.#awayFor = 3;
        (this.#socket as unknown as { _socket: Socket } | null)?._socket.end();
        this.#socket = null;
        return;
      case 'history':
        this.#historyAnswers = step.answers;
    }
  }

  #happen(at: Instrument, trade: Trade): void {
    const symbol = symbolOf(this.story.kind, at.pair);
    this.#happened.set(symbol, Math.max(this.#happened.get(symbol) ?? 0, trade.number));
  }

  #known(symbol: string): readonly Trade[] {
    const at = this.story.instruments.find(({ pair }) => symbolOf(this.story.kind, pair) === symbol);
    return at?.trades.slice(0, this.#happened.get(symbol) ?? 0) ?? [];
  }

  #sendTrade(at: Instrument, trade: Trade): void {
    const { kind } = this.story;
    if (isPolled(kind)) return;
    const frame = tradeFrame(at, trade);
    if (isFile(kind)) appendFileSync(`${this.#folder}/rows.csv`, `${frame}\n`);
    else this.#send(frame);
    this.#note(at, trade);
  }

  #note(at: Instrument, trade: Trade): void {
    const key = nameOf(at, trade);
    if (this.#told.has(key)) return this.#tell({ fact: 'again', instrument: idOf(at), number: trade.number });
    this.#told.add(key);
    this.#tell({ fact: 'sent', instrument: idOf(at), number: trade.number, place: this.#sent++ });
  }

  #sendBad({ at, flaw, trade }: Step & { what: 'bad' }): void {
    const future = Date.now() + 86_400_000;
    const shapes: Record<typeof flaw, Trade> = {
      price: { ...trade, price: kindOfNumber(this.story.kind, 'nonsense') },
      quantity: { ...trade, quantity: '-1' },
      zero: { ...trade, price: '0' },
      future: { ...trade, time: future, ...(this.story.kind === 'upbit' && { id: `${future}0001` }) },
      torn: trade,
    };
    const frame = tradeFrame(at, { ...shapes[flaw], ...(flaw !== 'torn' && flaw !== 'future' && { id: trade.id }) });
    this.#tell({ fact: 'bad', instrument: idOf(at), flaw });
    this.#send(flaw === 'torn' ? frame.slice(0, -5) : frame);
  }

  #send(frame: string): void {
    this.#socket?.send(frame);
  }

  #tradeDocument(): string {
    const items: string[] = [];
    for (const at of this.story.instruments) {
      const newest = this.#known(at.pair).slice(-DOCUMENT_TRADES);
      for (const trade of newest) this.#note(at, trade);
      items.push(...newest.toReversed().map((trade) => itemOf(at.pair, trade)));
    }
    return `{"items":[${items}]}`;
  }

  /** Candles of one interval at a time, in turn. */
  #candleDocument(): string {
    const interval = (['1m', '5m', '15m'] as const)[this.requests % 3];
    const items: string[] = [];
    for (const [at, known] of this.#candles) {
      if (at.interval !== interval) continue;
      for (const candle of [...known.values()].slice(-DOCUMENT_CANDLES)) {
        this.#tell({ fact: 'given', instrument: idOf(at), interval, time: candle.time, values: candle.values });
        items.push(candleItem(at.pair, candle));
      }
    }
    return `{"interval":"${interval}","items":[${items}]}`;
  }

  /** Rows in random order. */
  #writeAll(): void {
    const steps = this.#steps.filter((step) => step.what === 'trade');
    writeFileSync(`${this.#folder}/rows.jsonl`, steps.map(({ at, trade }) => `${itemOf(at.pair, trade, 'file-jsonl')}\n`).join(''));
    for (const { at, trade } of steps) this.#note(at, trade);
    this.#at = this.#steps.length;
  }

  /** Candles of Binance, from all trades, also those that its history lacks. */
  #klines(url: URL): string | undefined {
    if (!url.pathname.endsWith('/klines')) return undefined;
    const asked = (name: string) => url.searchParams.get(name) ?? '';
    const symbol = asked('symbol');
    const at = this.story.instruments.find(({ pair }) => symbolOf(this.story.kind, pair) === symbol);
    const length = LENGTHS[asked('interval')];
    if (!at || length === undefined) return '[]';
    const candles = new Map<number, Trade[]>();
    for (const trade of this.#known(symbol)) {
      const opening = Math.floor(trade.time / length) * length;
      if (opening >= Number(asked('startTime')) && opening <= Number(asked('endTime')))
        candles.set(opening, [...(candles.get(opening) ?? []), trade]);
    }
    const newest = this.#known(symbol).at(-1)?.time ?? 0;
    const rows = [...candles]
      .filter(([opening]) => opening + length <= newest)
      .map(([opening, trades]) => {
        const prices = trades.map(({ price }) => Number(price));
        const values = [
          trades[0]?.price,
          String(Math.max(...prices)),
          String(Math.min(...prices)),
          trades.at(-1)?.price,
          sumOf(trades.map(({ quantity }) => quantity)),
        ];
        const told = { interval: asked('interval'), time: opening, values: values.map(Number), trades: trades.length };
        this.#tell({ fact: 'given', instrument: idOf(at), ...told });
        return [opening, ...values, opening + length - 1, '0', trades.length];
      });
    return JSON.stringify(rows);
  }
}

const nameOf = ({ pair }: Instrument, { number }: Trade) => `${pair} ${number}`;
const MINUTE_MS = 60_000;
/** Fields of venue candles that the check compares. */
const LENGTHS: Readonly<Record<string, number>> = { '1m': MINUTE_MS, '5m': 5 * MINUTE_MS, '15m': 15 * MINUTE_MS, '1h': 60 * MINUTE_MS };

function kindOfNumber(kind: SourceStory['kind'], text: string): string {
  // In formats with unquoted prices, such a value would be invalid JSON.
  return kind === 'kraken-v2' || kind === 'upbit' ? 'null' : text;
}

function byTime(one: Step, other: Step): number {
  if (one.what !== 'trade' || other.what !== 'trade') return 0;
  return one.trade.time - other.trade.time || one.trade.micros - other.trade.micros;
}

function sumOf(decimals: readonly string[]): string {
  const places = Math.max(...decimals.map((text) => text.split('.')[1]?.length ?? 0));
  let total = 0n;
  for (const text of decimals) {
    const [whole = '0', fraction = ''] = text.split('.');
    total += BigInt(whole + fraction.padEnd(places, '0'));
  }
  const digits = String(total).padStart(places + 1, '0');
  return places === 0 ? digits : `${digits.slice(0, -places)}.${digits.slice(-places)}`;
}

/** All venues, on one port. */
export class Outside {
  readonly #venues: Map<string, Venue>;
  readonly #server: Server;
  readonly #sockets: WebSocketServer;
  /** Progress limit of the histories, from 0 to 1. */
  #until = 0;
  #running = true;

  constructor(stories: readonly SourceStory[], folder: string, tell: Tell) {
    this.#venues = new Map(stories.map((story) => [story.id, new Venue(story, folder, tell)]));
    this.#server = createServer((request, response) => this.#answer(request, response));
    this.#sockets = new WebSocketServer({ server: this.#server });
    this.#sockets.on('connection', (socket, request) => this.#venueOf(request)?.attach(socket));
  }

  /** @returns host and port */
  async listen(): Promise<string> {
    this.#server.listen(0, '127.0.0.1');
    await once(this.#server, 'listening');
    void this.#run();
    return `127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** Raises the progress limit of the histories. */
  goOn(until: number): void {
    this.#until = until;
  }

  /** Progress of the slowest and the fastest history. */
  get progress(): { slowest: number; fastest: number } {
    const all = [...this.#venues.values()].map(({ progress }) => progress);
    return { slowest: Math.min(...all), fastest: Math.max(...all) };
  }

  get requests(): number {
    return [...this.#venues.values()].reduce((sum, { story, requests }) => (isPolled(story.kind) ? sum : sum + requests), 0);
  }

  async close(): Promise<void> {
    this.#running = false;
    for (const venue of this.#venues.values()) venue.close();
    this.#sockets.close();
    this.#server.closeAllConnections();
    this.#server.close();
    await once(this.#server, 'close');
  }

  async #run(): Promise<void> {
    while (this.#running) {
      let isBusy = false;
      for (const venue of this.#venues.values()) isBusy = venue.go(this.#until) || isBusy;
      await new Promise((resolve) => setTimeout(resolve, isBusy ? 1 : 10));
    }
  }

  #venueOf({ url = '' }: IncomingMessage): Venue | undefined {
    return this.#venues.get(url.split(/[/?]/)[2] ?? '');
  }

  #answer(request: IncomingMessage, response: ServerResponse): void {
    const venue = this.#venueOf(request);
    if (!venue) return void response.writeHead(404).end();
    if (request.url?.startsWith('/poll/')) return venue.document(response, this.#until);
    venue.history(new URL(request.url ?? '/', 'http://outside'), response);
  }
}

/** Facts about a history that the check needs before its start. */
export function factsOf(story: SourceStory): Record<string, unknown>[] {
  return story.instruments.flatMap((at) => [
    { fact: 'instrument', instrument: idOf(at), kind: story.kind, numbered: isNumbered(story.kind) },
    ...at.trades.map((trade) => ({ fact: 'trade', instrument: idOf(at), ...trade })),
  ]);
}

/** Whether a step needs no connection. */
function isUnheard(step: Step | undefined): boolean {
  return step?.what === 'unsent' || step?.what === 'history' || (step?.what === 'frame' && !step.isSent);
}
