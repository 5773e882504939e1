import assert from 'node:assert/strict';
import { test } from 'node:test';
import { unreachable } from '../rest/error.ts';
import type { ConnectionEvents, Subscription } from './message.ts';
import { Streams } from './streams.ts';

test('a subscription whose callbacks throw keeps nothing from the others; its exceptions are reported as uncaught', ({ mock }) => {
  const uncaught: (() => void)[] = [];
  mock.method(globalThis, 'queueMicrotask', (callback: () => void) => uncaught.push(callback));
  let server: ConnectionEvents | undefined;
  const streams = new Streams(
    (events) => {
      server = events;
      return { add: ({ sent }: Subscription) => void sent(), remove: () => {}, close: () => {} };
    },
    () => {},
    1_000,
    1_000,
  );
  const throws = () => {
    throw new Error('of the application');
  };
  const received: string[] = [];
  streams.watch(['world'], throws, { onStatus: throws });
  streams.watch(['world'], ({ position }) => received.push(position), { onStatus: (status) => received.push(status) });
  for (const id of [1, 2]) server?.subscribed(id, '0');
  server?.message('world', 'zones', {}, '1');
  server?.message('world', 'zones', {}, '2');
  assert.deepEqual(received, ['connecting', 'live', '1', '2']);
  assert.equal(uncaught.length, 4);
  assert.throws(uncaught[0] as () => void, /of the application/);
  streams.close();
});

test('over a stream of its own, a subscription resumes after a gap from the position of the reader: missed events of other channels follow', () => {
  const added: Subscription[] = [];
  let server: ConnectionEvents | undefined;
  const open = (events: ConnectionEvents) => {
    server = events;
    return { add: (subscription: Subscription) => void added.push(subscription), remove: () => {}, close: () => {} };
  };
  const streams = new Streams(open, () => {}, 1_000, 1_000);
  streams.watch(['world', 'operations'], () => {}, { from: { world: 'e-9', operations: 'e-9' } });
  server?.subscribed(1, 'e-9');
  server?.message('world', 'gap', { channel: 'world', from: 'e-9', to: 'e-20', reason: 'evicted' }, 'e-9', 1);
  server?.closed(unreachable('The connection was lost before the events of operations.'));
  streams.reconnect();
  assert.deepEqual([added[1]?.from('world'), added[1]?.from('operations')], ['e-9', 'e-9']);
  streams.close();
});

/** A client whose connection the test plays. */
function played() {
  let server: ConnectionEvents | undefined;
  const streams = new Streams(
    (events) => {
      server = events;
      return { add: (subscription) => void subscription.sent(), remove: () => {}, close: () => {} };
    },
    () => {},
    1_000,
    1_000,
  );
  return { streams, server: () => server as ConnectionEvents };
}

test('a subscription of a channel that another one has gets the current state, although a message arrives before the server accepts it', () => {
  const { streams, server } = played();
  streams.watch(['tickers'], () => {});
  server().subscribed(1, 'e-1-partial');
  server().message('tickers', 'ticker', 'first', 'e-1');
  const received: unknown[] = [];
  streams.watch(['tickers'], ({ data }) => received.push(data));
  server().message('tickers', 'ticker', 'of the first subscription', 'e-2');
  server().subscribed(2, 'e-2-partial');
  server().message('tickers', 'ticker', 'state of a', 'e-2-partial');
  server().message('tickers', 'ticker', 'state of b', 'e-2');
  assert.deepEqual(received, ['state of a', 'state of b']);
  streams.close();
});

test('a subscription with the current state of several channels gets no older values, although another one begins a channel earlier', () => {
  const { streams, server } = played();
  const received: string[] = [];
  streams.watch(['tickers', 'sources'], ({ channel, position }) => received.push(`${channel} ${position}`));
  server().subscribed(1, 'e-5-partial');
  // Only the last message of the state says that it is complete.
  server().message('tickers', 'ticker', {}, 'e-5-partial');
  server().message('sources', 'source', {}, 'e-5');
  streams.watch(['tickers'], () => {}, { from: { tickers: 'e-2' } });
  server().subscribed(2, 'e-5');
  server().message('tickers', 'ticker', {}, 'e-3');
  server().message('tickers', 'ticker', {}, 'e-6');
  assert.deepEqual(received, ['tickers e-5-partial', 'sources e-5', 'tickers e-6']);
  streams.close();
});

test('a subscription that the callback of another one ends gets no message afterwards, and its last status is closed', () => {
  const { streams, server } = played();
  const received: string[] = [];
  let stop = () => {};
  streams.watch(['tickers'], () => stop(), { onStatus: (status) => status === 'waiting' && streams.close() });
  const watch = () =>
    streams.watch(['tickers'], ({ position }) => received.push(position), { onStatus: (status) => received.push(status) });
  stop = watch();
  watch();
  for (const id of [1, 2, 3]) server().subscribed(id, 'e-1');
  server().message('tickers', 'ticker', {}, 'e-2');
  server().closed(unreachable('The connection was lost.'));
  assert.deepEqual(received, ['connecting', 'connecting', 'live', 'live', 'closed', 'e-2', 'closed']);
});

test('the channel of the own user stays while a subscription has it, by either name', () => {
  const removed: (readonly string[])[] = [];
  const begun: (readonly string[])[] = [];
  let server: ConnectionEvents | undefined;
  const open = (events: ConnectionEvents) => {
    server = events;
    return {
      add: (subscription: Subscription) => void begun.push(subscription.sent()),
      remove: (_id: number, unused: readonly string[]) => void removed.push(unused),
      close: () => {},
    };
  };
  const streams = new Streams(open, () => {}, 1_000, 1_000);
  const stop = streams.watch(['user'], () => {});
  server?.subscribed(1, 'e-5');
  const stopOwn = streams.watch(['users:kim'], () => {}, { from: { 'users:kim': 'e-2' } });
  assert.deepEqual(begun, [[], ['users:kim']], 'events from position 2 on');
  server?.subscribed(2, 'e-5');
  streams.watch(['world'], () => {});
  stop();
  stopOwn();
  assert.deepEqual(removed, [[], ['users:kim']]);
  streams.close();
});
