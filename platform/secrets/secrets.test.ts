import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { connectDatabase, migrateDatabase } from '@millrace/database';
import fc from 'fast-check';
import { ENGINES } from '../database/testing/engines.ts';
import { Envelope, SecretError } from './envelope.ts';
import { decrypt, encrypt, KEY_BYTES, localMasterKey } from './master-key.ts';
import { fileSecrets, InstallationSecrets, type SecretStore } from './secret-store.ts';
import { tableSecrets } from './table-secrets.ts';
import { vaultMasterKey } from './vault-key.ts';

const MIGRATIONS = join(import.meta.dirname, '..', '..', 'apps', 'server', 'migrations');
const master = () => localMasterKey(randomBytes(KEY_BYTES));

describe('an envelope', () => {
  test('opens what it sealed, for any text, and seals the same text differently each time', async () => {
    const envelope = new Envelope([master()]);
    await fc.assert(
      fc.asyncProperty(fc.string({ unit: 'binary' }), fc.string(), async (plain, context) => {
        const sealed = await envelope.seal(plain, context);
        assert.equal(await envelope.open(sealed, context), Buffer.from(plain).toString());
        assert.notEqual(await envelope.seal(plain, context), sealed);
      }),
    );
  });

  test('a secret cannot be opened for another context, without its master key, or after any character was changed', async () => {
    const key = master();
    const envelope = new Envelope([key]);
    const sealed = await envelope.seal('the miller’s daughter', 'broker/kim');
    await assert.rejects(envelope.open(sealed, 'broker/lee'), SecretError);
    await assert.rejects(
      new Envelope([master()]).open(sealed, 'broker/kim'),
      /was sealed with the master key local-[0-9a-f]{12}, which is not configured/,
    );
    for (let at = 0; at < sealed.length; at++) {
      const changed = sealed.slice(0, at) + (sealed[at] === 'A' ? 'B' : 'A') + sealed.slice(at + 1);
      // A new envelope, because cached data keys would hide changes. The last character of base64url may have unused bits.
      const bytes = (text: string) =>
        text
          .split('.')
          .map((part) => Buffer.from(part, 'base64url').toString('hex'))
          .join('.');
      if (bytes(changed) === bytes(sealed) && changed.startsWith('mse1.local-')) continue;
      await assert.rejects(new Envelope([key]).open(changed, 'broker/kim'), SecretError, `at ${at}`);
    }
  });

  test('opens secrets of previous master keys, and seals with the current one', async () => {
    const [old, newer] = [master(), master()];
    const sealed = await new Envelope([old]).seal('secret', 'x');
    const both = new Envelope([newer, old]);
    assert.equal(await both.open(sealed, 'x'), 'secret');
    assert.equal(Envelope.masterOf(await both.seal('secret', 'x')), newer.id);
  });

  test('no nonce repeats, and nonces and tags have the sizes that GCM requires', () => {
    const key = randomBytes(KEY_BYTES);
    const nonces = new Set(
      Array.from({ length: 2_000 }, () =>
        Buffer.from(encrypt(key, Buffer.from('x'), ''), 'base64url')
          .subarray(0, 12)
          .toString('hex'),
      ),
    );
    assert.equal(nonces.size, 2_000);
    assert.equal(Buffer.from(encrypt(key, Buffer.alloc(0), ''), 'base64url').length, 12 + 16);
    assert.throws(() => decrypt(key, Buffer.alloc(20).toString('base64url'), ''), /too short/);
  });
});

/** Contract of every secret store. */
async function checkSecretStore(store: SecretStore): Promise<void> {
  const [old, newer] = [master(), master()];
  const secrets = new InstallationSecrets(store, new Envelope([old]));
  const first = await secrets.secret('identity');
  assert.ok(Buffer.from(first, 'base64url').length >= 32);
  assert.equal(await new InstallationSecrets(store, new Envelope([old])).secret('identity'), first);
  // The second of two concurrent callers gets the secret that the first one stored.
  const together = await Promise.all([secrets.secret('other'), new InstallationSecrets(store, new Envelope([old])).secret('other')]);
  assert.equal(together[0], await secrets.secret('other'));
  assert.equal(together[1], together[0]);
  const rotating = new InstallationSecrets(store, new Envelope([newer, old]));
  assert.equal(await rotating.reseal(), 2);
  assert.deepEqual(await rotating.list(), [
    { name: 'identity', master: newer.id },
    { name: 'other', master: newer.id },
  ]);
  assert.equal(await new InstallationSecrets(store, new Envelope([newer])).secret('identity'), first);
  await assert.rejects(secrets.secret('identity'), SecretError);
}

describe('secrets of the installation', () => {
  test('are stored in files that only this user can read; plain secrets of older versions are sealed', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'millrace-secrets-'));
    await checkSecretStore(fileSecrets(join(folder, 'secrets')));
    assert.equal(statSync(join(folder, 'secrets', 'identity')).mode & 0o777, 0o600);
    const store = fileSecrets(folder);
    const ofOld = randomBytes(32).toString('base64url');
    writeFileSync(join(folder, 'plain'), ofOld);
    const secrets = new InstallationSecrets(store, new Envelope([master()]));
    assert.equal(await secrets.secret('plain'), ofOld);
    assert.ok(Envelope.isSealed((await store.read('plain')) ?? ''));
    assert.equal(await secrets.secret('plain'), ofOld);
    rmSync(folder, { recursive: true });
  });

  test('a secret whose file is empty or cut off is refused, not used as it is', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'millrace-secrets-'));
    const secrets = new InstallationSecrets(fileSecrets(folder), new Envelope([master()]));
    await secrets.secret('identity');
    const path = join(folder, 'identity');
    const sealed = readFileSync(path);
    for (const length of [0, 3, 40, sealed.length - 1]) {
      writeFileSync(path, sealed.subarray(0, length));
      await assert.rejects(secrets.secret('identity'), SecretError, `${length} bytes`);
      await assert.rejects(secrets.reseal(), SecretError);
      assert.equal(statSync(path).size, length, 'it is not replaced');
    }
    rmSync(folder, { recursive: true });
  });

  test('a secret that could not be written whole does not exist', { skip: process.platform === 'win32' }, async () => {
    const folder = mkdtempSync(join(tmpdir(), 'millrace-secrets-'));
    const script = `
      import { fileSecrets } from ${JSON.stringify(new URL('./secret-store.ts', import.meta.url).href)};
      await fileSecrets(${JSON.stringify(folder)}).add('identity', 'mse1.a.b.c');`;
    // No byte can be written to a file, as on a full disk.
    const { status, stderr } = spawnSync(
      'sh',
      ['-c', 'ulimit -f 0; exec "$0" --input-type=module-typescript -e "$1"', process.execPath, script],
      {
        env: { ...process.env, NODE_COMPILE_CACHE: undefined },
        encoding: 'utf8',
      },
    );
    assert.equal(status, 1);
    assert.match(stderr, /EFBIG/);
    const store = fileSecrets(folder);
    assert.deepEqual(await store.names(), []);
    const secrets = new InstallationSecrets(store, new Envelope([master()]));
    assert.equal(Buffer.from(await secrets.secret('identity'), 'base64url').length, 32);
    assert.deepEqual(await store.names(), ['identity']);
    rmSync(folder, { recursive: true });
  });

  for (const { name, open } of ENGINES)
    test(`are stored in the tables of ${name}`, async () => {
      const running = await open();
      const database = connectDatabase(running.address);
      await migrateDatabase(database, MIGRATIONS);
      await checkSecretStore(tableSecrets(database));
      await database.close();
      await running.close();
    });
});

/** Stub of Vault’s transit engine with the requests that we use, after its API documentation. */
async function startVaultStub(): Promise<{ url: string; requests: string[]; close(): void }> {
  const key = randomBytes(KEY_BYTES);
  const requests: string[] = [];
  const server = createServer(async (request, response) => {
    const body = JSON.parse((await request.toArray()).join('') || '{}');
    requests.push(`${request.method} ${request.url}`);
    const respond = (status: number, value: object) =>
      response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(value));
    if (request.headers['x-vault-token'] !== 'hvs.good') return respond(403, { errors: ['permission denied'] });
    if (request.url === '/v1/transit/encrypt/millrace')
      return respond(200, { data: { ciphertext: `vault:v1:${encrypt(key, Buffer.from(body.plaintext, 'base64'), '')}` } });
    if (request.url === '/v1/transit/decrypt/millrace')
      return respond(200, { data: { plaintext: decrypt(key, body.ciphertext.slice('vault:v1:'.length), '').toString('base64') } });
    respond(404, { errors: [] });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, requests, close: () => server.close() };
}

test('Vault wraps and unwraps each data key once, not once per secret', async () => {
  const vault = await startVaultStub();
  const options = { url: vault.url, key: 'millrace', mount: 'transit' };
  const envelope = new Envelope([vaultMasterKey({ ...options, token: 'hvs.good' })]);
  const sealed = await Promise.all(['a', 'b', 'c'].map((plain) => envelope.seal(plain, plain)));
  assert.deepEqual(vault.requests, ['POST /v1/transit/encrypt/millrace']);
  const another = new Envelope([vaultMasterKey({ ...options, token: 'hvs.good' })]);
  for (const [index, plain] of ['a', 'b', 'c'].entries()) assert.equal(await another.open(sealed[index] ?? '', plain), plain);
  assert.equal(vault.requests.length, 2);
  const unauthorized = new Envelope([vaultMasterKey({ ...options, token: 'hvs.bad' })]);
  await assert.rejects(unauthorized.open(sealed[0] ?? '', 'a'), /refused to decrypt with the key "millrace" \(403\): permission denied/);
  vault.close();
});

test('an endless response of Vault is read only up to the size limit', async () => {
  const server = createServer((_request, response) => {
    response.writeHead(200, { 'content-type': 'application/json' });
    const chunk = Buffer.alloc(64 * 1024, 0x20);
    const write = () => {
      while (!response.destroyed && response.write(chunk));
    };
    response.on('drain', write);
    write();
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const envelope = new Envelope([vaultMasterKey({ url, key: 'millrace', mount: 'transit', token: 'hvs.good' })]);
  await assert.rejects(envelope.seal('a', 'a'), /the response body exceeds 65536 bytes/);
  server.closeAllConnections();
  server.close();
});
