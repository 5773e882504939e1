import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { MillraceError } from '../rest/error.ts';
import { eventsOf } from './events.ts';
import type { AnyMessage, Gap } from './message.ts';
import type { Streams, WatchOptions } from './streams.ts';

const CHANNELS = ['tickers', 'sources', 'user'] as const;
const TICK = () => new Promise<void>((resolve) => setImmediate(resolve));

/** A `watch` whose messages the test sends. */
function controlled() {
  const state = { send: (_message: AnyMessage) => {}, options: {} as WatchOptions, isStopped: false };
  const watch = ((_channels, listener, options = {}) => {
    Object.assign(state, { send: listener, options });
    return () => {
      state.isStopped = true;
      options.onStatus?.('closed', null);
    };
  }) as Streams['watch'];
  return { state, watch };
}

test('fault 35: a slow reader reads every message once and in order, or receives a gap that covers it', () =>
  fc.assert(
    fc.asyncProperty(
      fc.array(fc.record({ receive: fc.integer({ min: 0, max: 14_000 }), read: fc.integer({ min: 0, max: 9_000 }) }), { maxLength: 6 }),
      fc.integer({ min: 1, max: 3 }),
      async (turns, channelCount) => {
        const { state, watch } = controlled();
        const loop = eventsOf(watch, CHANNELS, { from: Object.fromEntries(CHANNELS.map((name) => [name, 'e-0'])) });
        let sent = 0;
        const read: AnyMessage[] = [];
        let next = loop.next();
        const receive = (count: number) => {
          for (let index = 0; index < count; index++) {
            const channel = CHANNELS[sent % channelCount] as string;
            state.send({ channel, event: 'x', data: null, position: `e-${++sent}` });
          }
        };
        const take = async () => {
          read.push((await next).value as AnyMessage);
          next = loop.next();
        };
        for (const turn of turns) {
          receive(turn.receive);
          for (let index = 0; index < turn.read && numberOf(read.at(-1)) < sent; index++) await take();
        }
        if (sent > 0) while (numberOf(read.at(-1)) < sent) await take();
        for (const [index, channel] of CHANNELS.slice(0, channelCount).entries()) {
          let known = 0;
          for (const message of read) {
            if (message.channel !== channel) continue;
            const number = numberOf(message);
            assert.ok(number > known && (number - 1) % channelCount === index, `${channel}: ${number} after ${known}`);
            if (message.event === 'gap') {
              const { from, to } = message.data as Gap;
              assert.deepEqual([from, to], [`e-${known}`, `e-${number}`]);
            } else assert.equal(number, known === 0 ? index + 1 : known + channelCount, `${channel}: missed without a gap`);
            known = number;
          }
          assert.ok(sent - known < channelCount || sent < channelCount, `${channel}: the newest is known`);
        }
        const waits = loop.return(undefined);
        state.send({ channel: 'user', event: 'x', data: null, position: `e-${sent + 1}` });
        await waits;
        assert.equal(state.isStopped, true);
      },
    ),
    { numRuns: 8 },
  ));

const numberOf = (message: AnyMessage | undefined) => Number(message?.position.split('-')[1] ?? 0);

test('fault 35: the loop throws the error of the server, after the earlier messages', async () => {
  const { state, watch } = controlled();
  const codes: string[] = [];
  const loop = eventsOf(watch, ['tickers'], { onError: ({ code }) => codes.push(code) });
  const first = loop.next();
  state.send({ channel: 'tickers', event: 'x', data: null, position: 'e-1' });
  state.options.onStatus?.('closed', null);
  state.options.onError?.(new MillraceError({ code: 'FORBIDDEN', detail: 'no', remedy: '', status: 403 }));
  assert.equal((await first).value?.position, 'e-1');
  await assert.rejects(loop.next(), { code: 'FORBIDDEN' });
  assert.deepEqual(codes, ['FORBIDDEN']);
});

test('fault 35: an aborted signal ends the loop with its reason, while it waits and before it begins', async () => {
  const { state, watch } = controlled();
  const abort = new AbortController();
  const loop = eventsOf(watch, ['tickers'], { signal: abort.signal });
  const next = loop.next();
  await TICK();
  abort.abort(new Error('enough'));
  // As `watch` does when its signal is aborted.
  state.options.onStatus?.('closed', null);
  await assert.rejects(next, /enough/);
  assert.equal(state.isStopped, true);
  await assert.rejects(eventsOf(watch, ['tickers'], { signal: abort.signal }).next(), /enough/);
});

test('a gap that is dropped from the buffer is missing up to its end', async () => {
  const { state, watch } = controlled();
  const loop = eventsOf(watch, ['tickers', 'sources'], { from: { tickers: 'e-1' } });
  const first = loop.next();
  state.send({ channel: 'sources', event: 'x', data: null, position: 'e-2' });
  await first;
  state.send({
    channel: 'tickers',
    event: 'gap',
    data: { channel: 'tickers', from: 'e-1', to: 'f-7', reason: 'epoch-changed' },
    position: 'e-1',
  });
  for (let index = 0; index < 10_000; index++) state.send({ channel: 'sources', event: 'x', data: null, position: `f-${index + 8}` });
  const { value } = await loop.next();
  assert.deepEqual(
    [value?.channel, value?.data, value?.position],
    ['tickers', { channel: 'tickers', from: 'e-1', to: 'f-7-partial', reason: 'slow-reader' }, 'f-7-partial'],
  );
  await loop.return(undefined);
});
