import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import type { ApiKey, AuditEntry, Page, Problem } from '@millrace/contracts';
import { type Guarded, startGuarded } from './visitor.ts';

/* Conventions that users of the APIs of Stripe and GitHub expect, on the resources of accounts. */

describe('the conventions of the API', () => {
  const folder = mkdtempSync(join(tmpdir(), 'millrace-conventions-'));
  let guarded: Guarded;
  before(async () => {
    guarded = await startGuarded(folder, { MILLRACE_WORLDS__ENABLED: 'false' });
  });
  after(async () => {
    await guarded.server.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  for (const [path, body, secrets] of [
    ['/account/keys', { name: 'bot', scopes: ['market:read'] }, ['key']],
    ['/tenants', { id: 'acme', name: 'Acme', tier: 'free' }, ['invitation']],
    ['/tenants/main/invitations', { role: 'viewer', email: 'kim@example.com' }, ['link']],
  ] as const)
    test(`POST ${path} answers 201, and the resource is at its Location`, async () => {
      const response = await guarded.owner.ask('POST', `/api/v1${path}`, body);
      const created = (await response.json()) as Record<string, unknown>;
      assert.equal(response.status, 201, JSON.stringify(created));
      const location = response.headers.get('location') ?? '';
      assert.ok(location.startsWith(`/api/v1${path}/`), location);
      const found = await guarded.owner.get<Record<string, unknown>>('GET', location.replace('/api/v1', ''));
      for (const secret of secrets) {
        assert.ok(created[secret], `${secret} is shown once`);
        assert.equal(found[secret], undefined, `${secret} is shown once`);
        delete created[secret];
      }
      for (const [name, value] of Object.entries(created)) assert.deepEqual(found[name], value, name);
    });

  test('DELETE answers 204 without a body, then 404', async () => {
    const { id } = await guarded.owner.key('short', ['market:read']);
    const response = await guarded.owner.ask('DELETE', `/api/v1/account/keys/${id}`);
    assert.deepEqual([response.status, await response.text(), response.headers.get('content-type')], [204, '', null]);
    assert.equal(await guarded.owner.refusal('GET', `/account/keys/${id}`), 'NOT_FOUND');
    assert.equal(await guarded.owner.refusal('DELETE', `/account/keys/${id}`), 'NOT_FOUND');
  });

  test('a list is read page by page, with each row once', async () => {
    for (let number = 0; number < 5; number++) await guarded.owner.key(`page ${number}`, ['market:read']);
    const all = await guarded.owner.get<ApiKey[]>('GET', '/account/keys?limit=1000');
    const paged: ApiKey[] = [];
    let cursor = '';
    do {
      const response = await guarded.owner.ask('GET', `/api/v1/account/keys?limit=2${cursor && `&cursor=${cursor}`}`);
      const { data, hasMore, nextCursor } = (await response.json()) as Page<ApiKey>;
      assert.equal(hasMore, nextCursor !== null);
      assert.ok(data.length <= 2);
      paged.push(...data);
      cursor = nextCursor ?? '';
    } while (cursor !== '');
    assert.deepEqual(paged, all);
    for (const query of ['limit=0', 'limit=1001', 'limit=x'])
      assert.equal(await guarded.owner.refusal('GET', `/account/keys?${query}`), 'BAD_REQUEST', query);
    for (const path of ['/account/keys', '/tenants/main/audit', '/instruments', '/instruments/simulator:BTC-USDT/trades'])
      for (const place of ['x', [1.5], [1e300], [2 ** 63], ['\0', 1, 1], [1.5, 0, 0], [1e19, 0, 0]]) {
        const cursor = Buffer.from(JSON.stringify(place)).toString('base64url');
        assert.equal(await guarded.owner.refusal('GET', `${path}?cursor=${cursor}`), 'INVALID_CURSOR', `${path} ${JSON.stringify(place)}`);
      }
  });

  test('a POST with an Idempotency-Key has one effect and one audit entry', async () => {
    const key = { 'idempotency-key': randomUUID() };
    const wish = { name: 'once', scopes: ['market:read'] };
    const responses = await Promise.all(Array.from({ length: 5 }, () => guarded.owner.ask('POST', '/api/v1/account/keys', wish, key)));
    const again = await guarded.owner.ask('POST', '/api/v1/account/keys', wish, key);
    const bodies = await Promise.all(responses.map(async (response) => [response.status, await response.text()] as const));
    const created = bodies.filter(([status]) => status === 201).map(([, body]) => body);
    assert.ok(created.length > 0 && bodies.every(([status]) => status === 201 || status === 409), JSON.stringify(bodies));
    assert.deepEqual([...new Set([...created, await again.text()])].length, 1, 'all have the same key');
    assert.deepEqual([again.status, again.headers.get('idempotency-replayed')], [201, 'true']);
    assert.equal(again.headers.get('location'), responses.find(({ status }) => status === 201)?.headers.get('location'));
    const keys = await guarded.owner.get<ApiKey[]>('GET', '/account/keys?limit=1000');
    assert.equal(keys.filter(({ name }) => name === 'once').length, 1);
    assert.equal(await guarded.owner.refusal('POST', '/account/keys', { ...wish, name: 'other' }, key), 'IDEMPOTENCY_KEY_REUSED');
    assert.equal(await guarded.owner.refusal('POST', '/account/keys', wish, { 'idempotency-key': 'a b' }), 'BAD_REQUEST');
    const other = await guarded.member('trader');
    assert.equal((await other.ask('POST', '/api/v1/account/keys', wish, key)).headers.get('idempotency-replayed'), null);
    // An action of an operator has one audit entry, however often it is repeated.
    const pause = { 'idempotency-key': randomUUID() };
    for (const isRepeat of [false, true]) {
      const paused = await guarded.owner.ask('POST', '/api/v1/sources/simulator/pause', undefined, pause);
      assert.deepEqual([paused.status, paused.headers.get('idempotency-replayed')], [200, isRepeat ? 'true' : null]);
    }
    const recorded = await guarded.owner.get<AuditEntry[]>('GET', '/tenants/main/audit?limit=1000');
    assert.equal(recorded.filter(({ subject }) => subject === 'POST /api/v1/sources/:id/pause').length, 1);
  });

  test('a problem names the path, the trace and the value; 401 says how to authenticate', async () => {
    const refused = await guarded.owner.ask('POST', '/api/v1/account/keys?token=secret', { name: 'bot', scopes: ['fly'] });
    const problem = (await refused.json()) as Problem;
    assert.deepEqual([problem.status, problem.instance], [400, '/api/v1/account/keys']);
    assert.equal(problem.traceId, refused.headers.get('x-request-id'));
    assert.deepEqual(
      problem.errors?.map(({ in: part, pointer, code }) => [part, pointer, code]),
      [['body', '/scopes/0', 'enum']],
    );
    const missing = (await (await guarded.owner.ask('POST', '/api/v1/account/keys', { name: 'bot' })).json()) as Problem;
    assert.deepEqual(
      missing.errors?.map(({ pointer, code }) => [pointer, code]),
      [['/scopes', 'required']],
    );
    const nobody = await guarded.visitor().ask('GET', '/api/v1/account');
    assert.deepEqual([nobody.status, nobody.headers.get('www-authenticate')], [401, 'Bearer realm="millrace"']);
    const wrong = await guarded.visitor({ 'x-api-key': 'mill_wrong' }).ask('GET', '/api/v1/account');
    assert.deepEqual([wrong.status, wrong.headers.get('www-authenticate')], [401, 'Bearer realm="millrace", error="invalid_token"']);
  });
});
