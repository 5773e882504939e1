import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import { type AddressInfo, connect, type Socket } from 'node:net';
import { after, before, describe, type TestContext, test } from 'node:test';
import { systemClock } from '@millrace/base/clock';
import { Hub } from '@millrace/streams';
import { until } from '@millrace/testing';
import { openEventStream } from './sse.ts';

describe('an event stream', () => {
  const hub = new Hub({ clock: systemClock, epoch: 'e', historyEvents: 10, initial: () => [] });
  let server: Server;
  let end: (reason: string) => void = () => {};
  before(async () => {
    server = createServer((request, response) => {
      end = openEventStream(request, response, hub, [{ name: 'a', delivery: 'lossless' }], null, {});
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
  });
  after(() => {
    hub.close('end of the test');
    server.close();
  });

  /** A stream whose client never reads. */
  async function unread(context: TestContext): Promise<Socket> {
    const accepted = once(server, 'connection') as Promise<[Socket]>;
    const client = connect((server.address() as AddressInfo).port, '127.0.0.1');
    context.after(() => client.destroy());
    client.write('GET / HTTP/1.1\r\nHost: x\r\n\r\n');
    const [socket] = await accepted;
    await until(() => hub.stats().readers === 1, 'the stream is open');
    return socket;
  }

  test('of a client that does not read is cut soon after it ended', async (context) => {
    const socket = await unread(context);
    context.mock.timers.enable({ apis: ['setTimeout'] });
    const before = hub.stats().slowReadersEnded;
    for (let n = 0; hub.stats().slowReadersEnded === before; n++) {
      hub.publish('a', 'lossless', 'change', 'key', { n, text: 'x'.repeat(64 * 1024) });
      hub.flush();
    }
    assert.deepEqual([hub.stats().readers, socket.destroyed], [0, false]);
    context.mock.timers.tick(2_000);
    assert.equal(socket.destroyed, true);
  });

  test('can be ended twice', async (context) => {
    const socket = await unread(context);
    end('credential-expired');
    end('the server stops');
    await once(socket, 'close');
    assert.equal(socket.errored, null);
  });
});
