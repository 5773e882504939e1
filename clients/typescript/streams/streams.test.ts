import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ConnectionEvents } from './message.ts';
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
