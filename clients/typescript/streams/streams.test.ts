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
      return { add: () => {}, remove: () => {}, close: () => {} };
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
