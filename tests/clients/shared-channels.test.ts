import assert from 'node:assert/strict';
import { test } from 'node:test';
import { apiKey, createClient, type Millrace } from '@millrace/client';
import type { ChannelName } from '@millrace/contracts';
import { ManualClock } from '@millrace/kernel/testing';
import { formatPosition, Hub, type HubPosition, parsePosition, type Reader } from '@millrace/streams';
import fc from 'fast-check';

/*
 * Several subscriptions of one client share a WebSocket, or have event streams of their own. Each gets every event of its channels after its own position
 * once and in order, or a gap, wherever the others began.
 */

const CHANNELS = ['trades:a', 'trades:b'] as const;
type Channel = (typeof CHANNELS)[number];

/** The part of a server that a connection uses, without a network. `cut` ends all connections. */
class Server {
  readonly clock = new ManualClock(0);
  readonly #connections = new Set<FakeConnection>();
  readonly #historyEvents: number;
  hub: Hub;
  readonly published: Record<Channel, string[]> = { 'trades:a': [], 'trades:b': [] };

  constructor(historyEvents: number) {
    this.#historyEvents = historyEvents;
    this.hub = this.#newHub('e1');
  }

  #newHub(epoch: string): Hub {
    return new Hub({ clock: this.clock, epoch, historyEvents: this.#historyEvents, initial: () => [] });
  }

  restart(): void {
    this.cut();
    this.hub = this.#newHub(`e${Number(this.hub.epoch.slice(1)) + 1}`);
  }

  publish(channel: Channel): void {
    const { published, hub } = this;
    published[channel].push('');
    hub.publish(channel, 'lossless', 'trade', '', published[channel].length);
    published[channel][published[channel].length - 1] = hub.position;
    hub.flush();
  }

  add(connection: FakeConnection): void {
    this.#connections.add(connection);
    connection.open(this.hub);
  }

  cut(): void {
    for (const connection of this.#connections) connection.end();
    this.#connections.clear();
  }
}

/** A connection to `server` that a client has begun. */
interface FakeConnection {
  open(hub: Hub): void;
  end(): void;
}

let server = new Server(0);
const opening: FakeConnection[] = [];

/** A WebSocket to `server`, which handles requests as platform/http/socket.ts does. */
class FakeSocket implements FakeConnection {
  static readonly OPEN = 1;
  readyState = 0;
  onopen = () => {};
  onmessage = (_event: { data: string }) => {};
  onclose = (_event: { reason: string }) => {};
  readonly #reader: Reader = {
    format: 'entries',
    write: (_bytes, entries) => {
      for (const { channel, event, data, position } of entries) this.#deliver({ channel, event, data, position });
    },
    backlog: 0,
    end: () => this.end(),
  };
  #hub = server.hub;

  constructor() {
    opening.push(this);
  }

  open(hub: Hub): void {
    if (this.readyState !== 0) return;
    this.#hub = hub;
    this.readyState = 1;
    this.onopen();
  }

  send(text: string): void {
    const { id, op, channels = [], from = {} } = JSON.parse(text) as { id: number; op: string; channels?: string[]; from?: object };
    if (op === 'unsubscribe') this.#hub.unsubscribe(this.#reader, channels);
    const positions = new Map(Object.entries(from).map(([name, text]) => [name, parsePosition(text as string) ?? null]));
    const wanted = channels.map((name) => ({ name, delivery: 'lossless' as const }));
    const begun = wanted.filter(({ name }) => !positions.has(name));
    this.#deliver({ id, ok: true, op, position: this.#hub.startOf(op === 'subscribe' ? begun : []) });
    if (op === 'subscribe') this.#hub.subscribe(this.#reader, wanted, (name) => positions.get(name) ?? null);
  }

  close(): void {
    this.end();
  }

  end(): void {
    this.#hub.leave(this.#reader);
    if (this.readyState === 3) return;
    this.readyState = 3;
    this.onclose({ reason: '' });
  }

  #deliver(message: object): void {
    const data = JSON.stringify(message);
    queueMicrotask(() => this.readyState === 1 && this.onmessage({ data }));
  }
}

/** A response with server-sent events, as platform/http/sse.ts writes them. */
class FakeEventStream implements FakeConnection {
  readonly #body: ReadableStreamDefaultController<Uint8Array>;
  readonly #respond: (response: Response) => void;
  readonly #response: Response;
  readonly #channels: readonly string[];
  readonly #from: HubPosition | null;
  readonly #reader: Reader = {
    format: 'sse',
    // One by one: a connection may be cut between two of them.
    write: (bytes) => {
      for (const each of Buffer.from(bytes)
        .toString()
        .split(/(?<=\n\n)/))
        this.#body.enqueue(new TextEncoder().encode(each));
    },
    backlog: 0,
    end: () => this.end(),
  };
  #hub = server.hub;
  #isOver = false;

  constructor(address: string, { headers, signal }: RequestInit, respond: (response: Response) => void) {
    this.#respond = respond;
    this.#channels = (new URL(address).searchParams.get('channels') ?? '').split(',');
    this.#from = parsePosition(new Headers(headers).get('last-event-id') ?? '') ?? null;
    // `start` runs in the constructor.
    let body!: ReadableStreamDefaultController<Uint8Array>;
    const stream = new ReadableStream<Uint8Array>({
      start: (controller) => {
        body = controller;
      },
      cancel: () => this.end(),
    });
    this.#body = body;
    this.#response = new Response(stream, { headers: { 'content-type': 'text/event-stream' } });
    signal?.addEventListener('abort', () => this.end());
    opening.push(this);
  }

  open(hub: Hub): void {
    if (this.#isOver) return;
    this.#hub = hub;
    const channels = this.#channels.map((name) => ({ name, delivery: 'lossless' as const }));
    const start = this.#from ? formatPosition(this.#from) : hub.startOf(channels);
    this.#body.enqueue(new TextEncoder().encode(`id: ${start}\nevent: ready\ndata: {}\n\n`));
    hub.subscribe(this.#reader, channels, () => this.#from);
    this.#respond(this.#response);
  }

  end(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#hub.leave(this.#reader);
    this.#body.error(new Error('cut'));
    this.#respond(this.#response);
  }
}

/** What one subscription received of one channel, checked against its law. */
class Received {
  readonly #channel: Channel;
  #next: number | null;
  #isAfterGap = false;

  /** @param after number of the event after which it begins; null for now */
  constructor(channel: Channel, after: number | null) {
    this.#channel = channel;
    this.#next = after === null ? null : after + 1;
  }

  gap(): void {
    this.#isAfterGap = true;
  }

  add(number: number): void {
    if (this.#next !== null && !this.#isAfterGap) assert.equal(number, this.#next, `${this.#channel}: lost or doubled`);
    if (this.#next !== null) assert.ok(number >= this.#next, `${this.#channel}: ${number} comes again`);
    this.#isAfterGap = false;
    this.#next = number + 1;
  }

  /** Nothing is missing at the end. */
  check(): void {
    const newest = server.published[this.#channel].length;
    if (this.#next !== null && !this.#isAfterGap) assert.equal(this.#next, newest + 1, `${this.#channel}: the newest are missing`);
  }
}

interface Subscriber {
  readonly stop: () => void;
  readonly received: readonly Received[];
}

/** @param back number of events of each channel before now that the subscription begins with; null for now */
function subscribe(client: Millrace, channels: readonly Channel[], back: readonly (number | null)[]): Subscriber {
  const from: Record<string, string> = {};
  const received = channels.map((channel, index) => {
    const count = server.published[channel].length;
    const events = back[index] ?? null;
    const after = events === null || events >= count ? null : count - events;
    if (after !== null) from[channel] = server.published[channel][after - 1] as string;
    return new Received(channel, after);
  });
  const stop = client.watch(
    channels as unknown as ChannelName[],
    ({ channel, event, data }) => {
      const one = received[channels.indexOf(channel as unknown as Channel)] as Received;
      if (event === 'gap') one.gap();
      else one.add(data as unknown as number);
    },
    { from },
  );
  return { stop, received };
}

type Step =
  | { readonly do: 'publish'; readonly channel: number }
  | { readonly do: 'watch'; readonly channels: readonly Channel[]; readonly back: readonly (number | null)[] }
  | { readonly do: 'stop'; readonly index: number }
  | { readonly do: 'cut' | 'connect' | 'restart' | 'settle' | 'turn' };

const watching = fc.record({
  do: fc.constant('watch' as const),
  channels: fc.subarray([...CHANNELS], { minLength: 1 }),
  back: fc.array(fc.option(fc.nat(6)), { minLength: 2, maxLength: 2 }),
});
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 6, arbitrary: fc.record({ do: fc.constant('publish' as const), channel: fc.nat(1) }) },
  { weight: 4, arbitrary: watching },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('stop' as const), index: fc.nat(5) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constantFrom('cut' as const, 'connect' as const, 'settle' as const, 'turn' as const) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('restart' as const) }) },
);

/** The subscription that another one relies on ends before the connection is open. */
const FIRST_ONE_ENDS: Step[] = [
  { do: 'publish', channel: 1 },
  { do: 'watch', channels: ['trades:b'], back: [0] },
  { do: 'watch', channels: ['trades:b'], back: [null] },
  { do: 'watch', channels: CHANNELS, back: [null, 0] },
  { do: 'stop', index: 0 },
  { do: 'publish', channel: 1 },
];
const watchBoth = (...back: (number | null)[]): Step => ({ do: 'watch', channels: CHANNELS, back });
/** Of a subscription of two channels that others have, only one must begin again. A message of the other one is on its way. */
const ONE_OF_TWO_IS_LATER: Step[] = [
  { do: 'publish', channel: 1 },
  watchBoth(null, null),
  { do: 'connect' },
  { do: 'publish', channel: 0 },
  { do: 'publish', channel: 0 },
  { do: 'publish', channel: 1 },
  { do: 'settle' },
  { do: 'publish', channel: 1 },
  watchBoth(1, 1),
];

/** A subscription begins a channel again while the request of another one is on its way. */
const LATER_THAN_A_NEW_ONE: Step[] = [
  { do: 'publish', channel: 0 },
  watchBoth(null, null),
  { do: 'publish', channel: 0 },
  { do: 'connect' },
  { do: 'watch', channels: ['trades:b'], back: [null, null] },
  watchBoth(1, null),
  { do: 'publish', channel: 0 },
];

/** Positions of different age. */
const OF_DIFFERENT_AGES: Step[] = [
  { do: 'publish', channel: 0 },
  { do: 'publish', channel: 0 },
  { do: 'publish', channel: 1 },
  { do: 'publish', channel: 1 },
  watchBoth(1, 1),
];

/** Lets a new connection open, and its authentication resolve. */
async function connect(client: Millrace): Promise<void> {
  // A response that was cut, or is begun, takes a while.
  await settle();
  client.reconnect();
  await settle();
  for (let connection = opening.shift(); connection; connection = opening.shift()) server.add(connection);
  await settle();
}

/** Lets messages arrive. The body of a response takes several turns. */
const settle = async () => {
  for (let turn = 0; turn < 8; turn++) await new Promise((resolve) => setImmediate(resolve));
};

const fetchStream = (address: unknown, init: RequestInit = {}) =>
  new Promise<Response>((respond) => {
    init.signal?.throwIfAborted();
    new FakeEventStream(String(address), init, respond);
  });

async function run(steps: readonly Step[], historyEvents: number, transport: 'websocket' | 'sse'): Promise<void> {
  server = new Server(historyEvents);
  opening.length = 0;
  const credentials = apiKey('mill_test');
  const client = createClient({ url: 'http://server', transport, fetch: fetchStream as typeof fetch, credentials, onError: () => {} });
  const subscribers: Subscriber[] = [];
  try {
    for (const each of steps) {
      if (each.do === 'publish') server.publish(CHANNELS[each.channel] as Channel);
      else if (each.do === 'watch') subscribers.push(subscribe(client, each.channels, each.back));
      else if (each.do === 'stop') {
        const [stopped] = subscribers.splice(each.index, 1);
        stopped?.stop();
      } else if (each.do === 'cut') server.cut();
      else if (each.do === 'restart') server.restart();
      else if (each.do === 'settle') await settle();
      else if (each.do === 'turn') await Promise.resolve();
      else await connect(client);
    }
    await connect(client);
    for (const channel of CHANNELS) server.publish(channel);
    await settle();
    for (const { received } of subscribers) for (const one of received) one.check();
  } finally {
    client.close();
  }
}

/** Runs a test with `FakeSocket` instead of a network. */
async function withFakeSockets(work: () => Promise<void>): Promise<void> {
  const Native = globalThis.WebSocket;
  globalThis.WebSocket = FakeSocket as unknown as typeof WebSocket;
  try {
    await work();
  } finally {
    globalThis.WebSocket = Native;
  }
}

test('of several subscriptions of a channel, each gets the events after its own position once, or a gap', () =>
  withFakeSockets(() =>
    fc.assert(fc.asyncProperty(fc.array(step, { maxLength: 30 }), fc.constantFrom(2, 1_000), fc.constant('websocket' as const), run), {
      numRuns: 300,
      examples: [
        [ONE_OF_TWO_IS_LATER, 1_000, 'websocket'],
        [FIRST_ONE_ENDS, 1_000, 'websocket'],
        [LATER_THAN_A_NEW_ONE, 1_000, 'websocket'],
      ],
    }),
  ));

test('over event streams, each subscription gets the events after its own positions once, or a gap', () =>
  fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 30 }), fc.constantFrom(2, 1_000), (steps, historyEvents) =>
      run(steps, historyEvents, 'sse'),
    ),
    { numRuns: 300, examples: [[OF_DIFFERENT_AGES, 1_000, 'sse']] },
  ));

test('a gap that the server reports while the connection is open is delivered: events of another server were lost', () =>
  withFakeSockets(async () => {
    server = new Server(10);
    const client = createClient({ url: 'http://server' });
    try {
      const events: string[] = [];
      client.watch(['trades:a'] as unknown as ChannelName[], ({ event }) => events.push(event));
      await connect(client);
      server.publish('trades:a');
      const at = server.hub.position;
      server.hub.publish('trades:a', 'lossless', 'gap', '', { channel: 'trades:a', from: at, to: at, reason: 'lost' });
      server.hub.flush();
      server.publish('trades:a');
      await settle();
      assert.deepEqual(events, ['trade', 'gap', 'trade']);
    } finally {
      client.close();
    }
  }));
