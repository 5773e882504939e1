import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MillraceError } from '../rest/error.ts';
import type { ConnectionEvents, Subscription } from './message.ts';
import { SubscribeQueue } from './subscribe-queue.ts';

interface Request {
  readonly op: string;
  readonly channels: readonly string[];
  readonly from?: Readonly<Record<string, string>>;
}

const forbidden = new MillraceError({ code: 'FORBIDDEN', status: 0, detail: 'no', remedy: '' });

/** A queue whose server refuses some channels. `reply` sends the reply to the last request. */
function queueWith(refused: readonly string[] = []) {
  const requests: Request[] = [];
  const results: string[] = [];
  const events = {
    subscribed: (id: number, position: string) => results.push(`${id} ${position}`),
    refused: (id: number, { code }: MillraceError) => results.push(`${id} ${code}`),
  } as unknown as ConnectionEvents;
  const queue = new SubscribeQueue((message) => requests.push(message as Request), events);
  let replied = 0;
  const reply = (error?: MillraceError) => {
    replied = requests.length;
    const isRefused = requests.at(-1)?.channels.some((channel) => refused.includes(channel)) ?? false;
    return queue.replied(requests.length, 'e-1', error ?? (isRefused ? forbidden : undefined));
  };
  const replyToAll = () => {
    while (replied < requests.length) reply();
  };
  return { queue, requests, results, reply, replyToAll };
}

const subscription = (id: number, channels: readonly string[], from: Record<string, string> = {}, again: string[] = []): Subscription => ({
  id,
  channels,
  from: (channel) => from[channel],
  beginsAgain: () => again.length > 0,
  sent: () => again,
});
/** Subscriptions that are added at once are sent in the next microtask. */
const added = () => Promise.resolve();

test('subscriptions share requests: 3,000 of 1,000 channels take 8 requests', async () => {
  const { queue, requests, results, replyToAll } = queueWith();
  for (let id = 1; id <= 3_000; id++) queue.add(subscription(id, [`trades:${Math.floor(id / 3)}`]));
  await added();
  assert.equal(requests.length, 0, 'not connected yet');
  queue.begin();
  replyToAll();
  assert.equal(requests.length, 8);
  assert.equal(new Set(requests.flatMap(({ channels }) => channels)).size, 1_001);
  assert.equal(results.length, 3_000);
});

test('a refused subscription is found in a shared request, and the others are accepted', async () => {
  const { queue, requests, results, replyToAll } = queueWith(['trades:70']);
  queue.begin();
  for (let id = 0; id < 100; id++) queue.add(subscription(id, [`trades:${id}`]));
  await added();
  replyToAll();
  assert.deepEqual(
    results.filter((result) => result.endsWith('FORBIDDEN')),
    ['70 FORBIDDEN'],
  );
  assert.equal(new Set(results).size, 100);
  assert.ok(requests.length <= 15, `${requests.length} requests`);
});

test('a subscription that ends while its request waits is not sent again, and no other one is refused for it', async () => {
  const { queue, requests, results, reply, replyToAll } = queueWith(['world']);
  queue.begin();
  queue.add(subscription(1, ['world']));
  queue.add(subscription(2, ['tickers']));
  await added();
  queue.remove(1, []);
  reply();
  replyToAll();
  assert.deepEqual(
    requests.map(({ channels }) => channels),
    [['world', 'tickers'], ['tickers']],
  );
  assert.deepEqual(results, ['2 e-1']);
});

test('a channel has one position in a request, also by two names', async () => {
  const { queue, requests, replyToAll } = queueWith();
  queue.begin();
  queue.add(subscription(1, ['user'], { user: 'e-3' }));
  queue.add(subscription(2, ['user', 'tickers'], { user: 'e-3' }));
  queue.add(subscription(3, ['users:kim'], { 'users:kim': 'e-7' }));
  await added();
  replyToAll();
  assert.deepEqual(requests, [
    { op: 'subscribe', channels: ['user', 'tickers'], from: { user: 'e-3' } },
    { op: 'subscribe', channels: ['users:kim'], from: { 'users:kim': 'e-7' } },
  ]);
});

test('a subscription whose channels begin again is sent alone, and the connection fails when they cannot end', async () => {
  const limited = new MillraceError({ code: 'RATE_LIMITED', status: 0, detail: 'too many', remedy: '' });
  const { queue, requests, reply } = queueWith();
  queue.begin();
  queue.add(subscription(1, ['tickers']));
  queue.add(subscription(2, ['world'], { world: 'e-1' }, ['world']));
  queue.add(subscription(3, ['sources']));
  await added();
  reply();
  assert.deepEqual(
    requests.map(({ op, channels }) => [op, ...channels]),
    [
      ['subscribe', 'tickers'],
      ['unsubscribe', 'world'],
      ['subscribe', 'world'],
    ],
  );
  assert.equal(queue.replied(2, '', limited), limited);
  assert.equal(reply(limited), limited);
});
