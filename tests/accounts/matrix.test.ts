import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import type { AccessTable, Account, Problem, Role } from '@millrace/contracts';
import { WebSocket } from 'ws';
import { type Guarded, startGuarded, type Visitor } from './visitor.ts';

/*
 * Every route and channel of a running server, from its own list, requested by anonymous callers, every role of the home tenant, and every role of
 * another tenant. The expected access is written here by hand.
 */

const MARKET = ['market:read', 'account:read', 'account:write'];
const MAY: Readonly<Record<Role, { readonly home: readonly string[]; readonly other: readonly string[] }>> = {
  viewer: { home: MARKET, other: MARKET },
  trader: { home: [...MARKET, 'world:play'], other: [...MARKET, 'world:play'] },
  operator: { home: [...MARKET, 'world:play', 'platform:read', 'platform:operate'], other: [...MARKET, 'world:play'] },
  admin: {
    home: [...MARKET, 'world:play', 'platform:read', 'platform:operate', 'tenant:read', 'tenant:manage', 'platform:admin'],
    other: [...MARKET, 'world:play', 'tenant:read', 'tenant:manage'],
  },
};
/** Operations that would end the sessions of the test. */
const LEFT_OUT = new Set(['POST /api/v1/auth/sign-out']);

describe('access rights', () => {
  const folder = mkdtempSync(join(tmpdir(), 'millrace-matrix-'));
  let guarded: Guarded;
  let table: AccessTable;
  const callers: { name: string; tenant: string; visitor: Visitor; may: ReadonlySet<string> }[] = [];
  before(async () => {
    guarded = await startGuarded(folder);
    table = await guarded.owner.get<AccessTable>('GET', '/access');
    await guarded.tenant('acme');
    callers.push({ name: 'nobody', tenant: 'main', visitor: guarded.visitor(), may: new Set() });
    for (const [role, { home, other }] of Object.entries(MAY) as [Role, (typeof MAY)[Role]][])
      for (const [tenant, may] of [
        ['main', home],
        ['acme', other],
      ] as const)
        callers.push({ name: `${role} of ${tenant}`, tenant, visitor: await guarded.member(role, tenant), may: new Set(may) });
  });
  after(async () => {
    await guarded.server.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  /** Whether the guard admitted a request, whatever its result. */
  async function isLetIn(visitor: Visitor, method: string, url: string): Promise<boolean> {
    const path = url.replace(/:\w+/g, 'none').replace(/\*$/, 'none');
    const response = await visitor.ask(method, path, method === 'POST' ? { nothing: 'here' } : undefined);
    const isProblem = response.headers.get('content-type')?.includes('problem+json');
    const problem = isProblem ? ((await response.json()) as Problem) : null;
    if (!isProblem) await response.body?.cancel();
    return !(problem && (problem.code === 'UNAUTHENTICATED' || problem.code === 'FORBIDDEN') && problem.detail.includes('permission'));
  }

  test('every route admits exactly the roles with its permission', async () => {
    assert.ok(table.routes.length > 80, `${table.routes.length} routes`);
    const wrong: string[] = [];
    let asked = 0;
    for (const { method, url, access } of table.routes) {
      if (method === 'HEAD' || method === 'OPTIONS' || LEFT_OUT.has(`${method} ${url}`)) continue;
      for (const { name, visitor, may } of callers) {
        const should = access === 'public' || access === 'channels' || access === 'fields' || may.has(access);
        if ((await isLetIn(visitor, method, url)) !== should)
          wrong.push(`${method} ${url} (${access}) by ${name}: ${should ? 'refused' : 'let in'}`);
        asked++;
      }
    }
    assert.deepEqual(wrong, []);
    assert.ok(asked > 700, `${asked} questions`);
  });

  test('every channel, over both transports, admits exactly the roles with its permission', async () => {
    assert.equal(table.channels.length, 13);
    const wrong: string[] = [];
    for (const { name, tenant, visitor, may } of callers) {
      const socket = new WebSocket(`${guarded.server.url.replace('http', 'ws')}/api/v1/socket`, {
        headers: { cookie: [...visitor.jar].map(([key, value]) => `${key}=${value}`).join('; ') },
      });
      await new Promise((resolve, reject) => socket.once('open', resolve).once('error', reject));
      for (const [id, { name: pattern, access }] of table.channels.entries()) {
        const channel = pattern
          .replace('{instrument}', 'simulator:BTC-USDT')
          .replace('{interval}', '1m')
          .replace('{zone}', '0-0')
          .replace('{player}', 'p-1')
          .replace('users:{user}', 'user')
          .replace('{tenant}', tenant);
        const should = may.has(access);
        const answer = new Promise<{ ok: boolean; error?: { code: string } }>((resolve) => {
          const listen = (raw: unknown) => {
            const message = JSON.parse(String(raw));
            if (message.id !== id) return;
            socket.off('message', listen);
            resolve(message);
          };
          socket.on('message', listen);
        });
        socket.send(JSON.stringify({ op: 'subscribe', id, channels: [channel] }));
        const { ok, error } = await answer;
        if (ok !== should) wrong.push(`${channel} by ${name} over WebSocket: ${ok ? 'let in' : error?.code}`);
        const ending = new AbortController();
        const response = await fetch(`${guarded.server.url}/api/v1/stream?channels=${channel}`, {
          signal: ending.signal,
          headers: { cookie: [...visitor.jar].map(([key, value]) => `${key}=${value}`).join('; ') },
        });
        if ((response.status === 200) !== should) wrong.push(`${channel} by ${name} over SSE: ${response.status}`);
        ending.abort();
      }
      socket.close();
    }
    assert.deepEqual(wrong, []);
  });

  test('users, keys, sessions and audit logs of other tenants are not accessible', async () => {
    const stranger = await guarded.member('admin', 'acme');
    const { user } = await guarded.owner.get<Account>('GET', '/account');
    for (const [method, path, body] of [
      ['GET', '/tenants/main/users'],
      ['GET', '/tenants/main/audit'],
      ['POST', '/tenants/main/invitations', { role: 'admin' }],
      ['PATCH', `/tenants/main/users/${user}`, { role: 'viewer' }],
      ['GET', '/tenants/nowhere/users'],
    ] as const)
      assert.equal(await stranger.refusal(method, path, body), 'UNKNOWN_TENANT', path);
    const { status } = await stranger.ask('GET', `/api/v1/stream?channels=users:${user}`);
    assert.equal(status, 403);
    assert.equal(await stranger.refusal('GET', '/stream?channels=tenants:main'), 'FORBIDDEN');
    assert.equal(await stranger.refusal('GET', '/stream?channels=tenants:nowhere'), 'FORBIDDEN');
    assert.equal(await guarded.owner.refusal('GET', '/stream?channels=users:somebody-else'), 'FORBIDDEN');
    // Nor through the own tenant.
    assert.equal(await stranger.refusal('PATCH', `/tenants/acme/users/${user}`, { disabled: true }), 'UNKNOWN_USER');
    const about = await guarded.owner.key('mine', ['market:read']);
    assert.equal(await stranger.refusal('DELETE', `/account/keys/${about.id}`), 'NOT_FOUND');
    const [session] = await guarded.owner.get<{ id: string }[]>('GET', '/account/sessions');
    assert.equal(await stranger.refusal('DELETE', `/account/sessions/${session?.id}`), 'NOT_FOUND');
  });
});
