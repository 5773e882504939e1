import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Readable } from 'node:stream';
import { after, before, describe, test } from 'node:test';
import { createGzip } from 'node:zlib';
import { BodyTooLarge, readBodyText } from './body-text.ts';

const BYTES_MAX = 1024 * 1024;
const CHUNK = Buffer.alloc(64 * 1024, 'a');

describe('readBodyText', () => {
  let server: Server;
  let url: string;
  const closed: Promise<unknown>[] = [];
  before(async () => {
    server = createServer((request, response) => {
      closed.push(once(response, 'close'));
      const endless = Readable.from(
        (function* () {
          for (;;) yield CHUNK;
        })(),
      );
      endless.on('error', () => {});
      response.on('close', () => endless.destroy());
      if (request.url === '/endless') endless.pipe(response);
      else if (request.url === '/bomb') {
        response.setHeader('content-encoding', 'gzip');
        endless.pipe(createGzip()).pipe(response);
      } else response.end('가'.repeat(Number(request.url?.slice(1))));
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  });
  after(() => {
    server.closeAllConnections();
    server.close();
  });

  test('fault 85: reads no more than the limit of an endless or compressed body, and closes the connection', async () => {
    for (const path of ['/endless', '/bomb']) {
      const response = await fetch(url + path);
      await assert.rejects(readBodyText(response, BYTES_MAX), (error: unknown) => {
        assert.ok(error instanceof BodyTooLarge);
        assert.ok(error.beginning.length <= BYTES_MAX);
        return true;
      });
      await closed.at(-1);
    }
  });

  test('returns the text that was sent, for any chunk boundaries, up to exactly the limit', async () => {
    const text = '가'.repeat(100_000);
    assert.equal(await readBodyText(await fetch(`${url}/100000`), 300_000), text);
    await assert.rejects(readBodyText(await fetch(`${url}/100000`), 299_999), BodyTooLarge);
    assert.equal(await readBodyText(await fetch(`${url}/0`), 0), '');
  });
});
