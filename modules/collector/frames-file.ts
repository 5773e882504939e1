import { createReadStream } from 'node:fs';
import { createInterface } from 'node:readline';

/*
 * Recorded frames, one line each, in the format of cryptofeed’s sample data:
 *   wss://host/path <-> 1633998511.159          a connection was opened
 *   wss://host <- 1618677817.02: {…}            what the client sent
 *   1633998512.063: {…}                         what the venue sent; binary frames as a Python bytes literal b'…'
 */

export type RecordedLine =
  | { readonly kind: 'opened'; readonly at: number; readonly url: string }
  | { readonly kind: 'sent'; readonly at: number; readonly text: string }
  | { readonly kind: 'received'; readonly at: number; readonly text: string; readonly binary: boolean };

const OPENED = /^(wss?:\/\/\S+) <-> ([\d.]+)$/;
const SENT = /^wss?:\/\/\S+ <- ([\d.]+): (.*)$/s;
const RECEIVED = /^([\d.]+): (.*)$/s;

/** Understands one line; undefined when it is none of the three. Times become epoch ms. */
export function parseRecordedLine(line: string): RecordedLine | undefined {
  const opened = OPENED.exec(line);
  if (opened) return { kind: 'opened', at: Number(opened[2]) * 1_000, url: opened[1] as string };
  const sent = SENT.exec(line);
  if (sent) return { kind: 'sent', at: Number(sent[1]) * 1_000, text: sent[2] as string };
  const received = RECEIVED.exec(line);
  if (!received) return undefined;
  const { text, binary } = unquoteBytes(received[2] as string);
  return { kind: 'received', at: Number(received[1]) * 1_000, text, binary };
}

/** `b'…'` with its escapes, as Python prints bytes. */
function unquoteBytes(text: string): { text: string; binary: boolean } {
  const match = /^b(['"])(.*)\1$/s.exec(text);
  if (!match) return { text, binary: false };
  const bytes: number[] = [];
  const body = match[2] as string;
  for (let index = 0; index < body.length; index++) {
    if (body[index] !== '\\') {
      bytes.push(body.charCodeAt(index));
      continue;
    }
    const code = body[++index] ?? '';
    if (code === 'x') {
      bytes.push(Number.parseInt(body.slice(index + 1, index + 3), 16));
      index += 2;
    } else bytes.push(({ n: 10, r: 13, t: 9 } as Record<string, number>)[code] ?? code.charCodeAt(0));
  }
  return { text: Buffer.from(bytes).toString('utf8'), binary: true };
}

export async function* readRecordedLines(path: string): AsyncGenerator<RecordedLine> {
  for await (const line of createInterface({ input: createReadStream(path), crlfDelay: Number.POSITIVE_INFINITY })) {
    const parsed = parseRecordedLine(line);
    if (parsed) yield parsed;
  }
}

/** Currencies that markets are quoted in, longest first: how a symbol without a separator is taken apart. */
const QUOTES = ['USDT', 'USDC', 'BUSD', 'TUSD', 'BTC', 'ETH', 'BNB', 'EUR', 'GBP', 'USD', 'TRY', 'KRW'];

/** The pairs that a recording’s subscriptions name, as BASE-QUOTE. */
export function pairsOfRecording(type: string, lines: Iterable<RecordedLine>): string[] {
  const pairs = new Set<string>();
  for (const line of lines) {
    if (line.kind === 'opened' && type.startsWith('binance')) {
      const streams = new URL(line.url).searchParams.get('streams') ?? '';
      for (const stream of streams.split('/')) {
        const symbol = (stream.split('@')[0] ?? '').toUpperCase();
        const quote = QUOTES.find((name) => symbol.endsWith(name) && symbol.length > name.length);
        if (quote) pairs.add(`${symbol.slice(0, -quote.length)}-${quote}`);
      }
    }
    if (line.kind === 'sent') for (const name of namesIn(JSON.parse(line.text))) pairs.add(pairOf(type, name));
  }
  return [...pairs];
}

function namesIn(message: unknown): string[] {
  if (Array.isArray(message)) return message.flatMap(namesIn);
  if (typeof message !== 'object' || message === null) return [];
  const { product_ids, pair, codes, params } = message as Record<string, unknown>;
  const nested = params ? ((params as Record<string, unknown>).symbol as string[] | undefined) : undefined;
  return [product_ids, pair, codes, nested].flatMap((list) => (Array.isArray(list) ? list.map(String) : []));
}

function pairOf(type: string, name: string): string {
  if (type === 'upbit') return name.split('-').reverse().join('-');
  return name
    .replace('/', '-')
    .replace(/\bXBT\b/g, 'BTC')
    .replace(/\bXDG\b/g, 'DOGE');
}
