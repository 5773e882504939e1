import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { connect as connectTcp } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { connect, type TLSSocket } from 'node:tls';
import { TIME_FACTOR } from '@millrace/testing';
import { type ServerProcess, startServer, WITHOUT_WORLD } from '../server.ts';

describe('TLS', () => {
  const folder = mkdtempSync(join(tmpdir(), 'millrace-tls-'));
  let server: ServerProcess;
  before(async () => {
    certify('first');
    server = await startServer(['up', '--port', '0', '--data', 'data'], {
      cwd: folder,
      env: {
        ...WITHOUT_WORLD,
        MILLRACE_GATEWAY__TLS: JSON.stringify({ certFile: 'cert.pem', keyFile: 'key.pem' }),
        MILLRACE_LOGGING__LEVEL: 'info',
      },
    });
  });
  after(() => rmSync(folder, { recursive: true, force: true }));

  /** Creates a certificate with this name, and replaces the files of the server atomically. */
  function certify(name: string): void {
    const files = ['-keyout', join(folder, 'key.new'), '-out', join(folder, 'cert.new')];
    const made = spawnSync('openssl', ['req', '-x509', '-newkey', 'ed25519', '-nodes', '-days', '2', '-subj', `/CN=${name}`, ...files]);
    assert.equal(made.status, 0, String(made.stderr));
    renameSync(join(folder, 'key.new'), join(folder, 'key.pem'));
    renameSync(join(folder, 'cert.new'), join(folder, 'cert.pem'));
  }

  async function shaken(options: object = {}): Promise<TLSSocket> {
    const socket = connect({ host: '127.0.0.1', port: Number(new URL(server.url).port), rejectUnauthorized: false, ...options });
    await new Promise((resolve, reject) => socket.once('secureConnect', resolve).once('error', reject));
    return socket;
  }

  /** Waits for a log message. */
  async function logged(text: string): Promise<void> {
    while (!server.errors().includes(text)) await new Promise((resolve) => server.child.stderr?.once('data', resolve));
  }

  test('accepts TLS 1.3 only', async () => {
    assert.match(server.url, /^https:/);
    const socket = await shaken();
    assert.equal(socket.getProtocol(), 'TLSv1.3');
    assert.equal(socket.getPeerCertificate().subject.CN, 'first');
    socket.write('GET /health/live HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n');
    const answer = (await socket.toArray()).join('');
    assert.match(answer, /^HTTP\/1\.1 200/);
    assert.match(answer, /strict-transport-security/i);
    await assert.rejects(shaken({ maxVersion: 'TLSv1.2' }), /protocol version/i);
  });

  test('uses a new certificate without a restart, and keeps the old one if the new one is invalid', async () => {
    certify('second');
    await logged('the certificate was replaced');
    const names = async () => (await shaken()).getPeerCertificate().subject.CN;
    assert.equal(await names(), 'second');
    writeFileSync(join(folder, 'cert.pem'), 'no certificate');
    await logged('the new certificate cannot be used');
    assert.equal(await names(), 'second');
  });

  test('a connection that does not begin its handshake is closed after ten seconds', async () => {
    const silent = connectTcp({ host: '127.0.0.1', port: Number(new URL(server.url).port) });
    silent.on('error', () => {});
    silent.resume();
    await once(silent, 'close', { signal: AbortSignal.timeout(15_000 * TIME_FACTOR) });
  });

  test('stops in order while a connection has not begun its handshake', async () => {
    const silent = connectTcp({ host: '127.0.0.1', port: Number(new URL(server.url).port) });
    await once(silent, 'connect');
    silent.on('error', () => {});
    assert.equal(await server.stop(), 0);
  });
});
