import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect } from 'node:net';
import { describe, test } from 'node:test';
import { until } from '@millrace/testing';
import type { Gateway } from './gateway.ts';
import { listenTcp } from './listeners.ts';

/** Returns the remote address and the data that the gateway gets for a connection that sends these bytes. */
async function takenFor(isProxy: boolean, sent: Buffer): Promise<{ remote: string; received: string }> {
  let report: (taken: { remote: string; received: string }) => void = () => {};
  const taken = new Promise<{ remote: string; received: string }>((resolve) => {
    report = resolve;
  });
  const gateway = {
    connect: ({ remote }: { remote: string }) => ({
      receive: (chunk: Buffer) => report({ remote, received: chunk.toString('latin1') }),
      closed: () => {},
      drained: () => {},
    }),
  } as unknown as Gateway;
  const listener = await listenTcp(gateway, { host: '127.0.0.1', port: 0 }, () => isProxy);
  const socket = connect(listener.port, '127.0.0.1');
  await once(socket, 'connect');
  socket.write(sent);
  const result = await taken;
  socket.destroy();
  await listener.close();
  return result;
}

test('a connection that was ended is cut when its client does not read or does not close it', async (context) => {
  const ends: (() => void)[] = [];
  const gateway = {
    connect: ({ send, end }: { send: (frame: Buffer) => void; end: () => void }) => {
      ends.push(end);
      for (let n = 0; n < 256; n++) send(Buffer.alloc(64 * 1024));
      return { receive: () => {}, closed: () => {}, drained: () => {} };
    },
  } as unknown as Gateway;
  const listener = await listenTcp(gateway, { host: '127.0.0.1', port: 0 }, () => false);
  const socket = connect(listener.port, '127.0.0.1');
  context.after(() => socket.destroy());
  await until(() => ends.length === 1, 'it is connected');
  context.mock.timers.enable({ apis: ['setTimeout'] });
  ends[0]?.();
  const closed = listener.close();
  context.mock.timers.tick(2_000);
  await closed;
});

describe('the remote address of a player’s connection', () => {
  const frame = Buffer.from([0, 0, 0, 1, 0x80]);
  const text = frame.toString('latin1');
  const line = (rest: string) => Buffer.concat([Buffer.from(`PROXY ${rest}\r\n`), frame]);

  test('is the one in a gateway’s PROXY line, which is not part of the player’s data', async () => {
    assert.deepEqual(await takenFor(true, line('TCP4 203.0.113.7 10.0.0.1 51234 7421')), { remote: '203.0.113.7', received: text });
    assert.deepEqual(await takenFor(true, line('TCP6 2001:db8::7 2001:db8::1 51234 7421')), { remote: '2001:db8::7', received: text });
    assert.deepEqual(await takenFor(true, line('UNKNOWN')), { remote: '127.0.0.1', received: text });
  });

  test('is the address of the socket without that line, or if the peer is not a gateway', async () => {
    assert.deepEqual(await takenFor(true, frame), { remote: '127.0.0.1', received: text });
    const claimed = line('TCP4 203.0.113.7 10.0.0.1 51234 7421');
    assert.deepEqual(await takenFor(false, claimed), { remote: '127.0.0.1', received: claimed.toString('latin1') });
  });

  test('an invalid line counts as data of the player', async () => {
    for (const nonsense of [line('TCP4 only-one'), line(`TCP4 ${'9'.repeat(200)} a 1 2`), Buffer.from('PROXY')])
      assert.deepEqual(await takenFor(true, nonsense), { remote: '127.0.0.1', received: nonsense.toString('latin1') });
  });
});
