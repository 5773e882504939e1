import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { Permission } from '@millrace/contracts';
import { until } from '@millrace/testing';
import { WebSocket } from 'ws';
import { type Credential, endsStream, permissionsNow } from './grants-model.ts';

/** Requests of a credential that is not valid: the server limits how often it may be tried. */
export const REFUSALS_MAX = 3;
/** A stream must end within this time after the response of the change, ms. */
const ENDS_MS_MAX = 2_000;
const GRAPHQL = 'subscription { events(channels: ["tickers"]) { channel } }';

const nameOf = ({ kind, id, user }: Credential) => `${kind} ${id.slice(0, 6)} of ${user.name}`;

/** Checks that HTTP and GraphQL let a credential do what the model says. @param probe chooses one of the routes */
export async function checkRequests(credential: Credential, probe: number): Promise<void> {
  const { visitor, user } = credential;
  const what = nameOf(credential);
  const permissions = permissionsNow(credential);
  if (permissions === null) {
    if (credential.refusals++ < REFUSALS_MAX) assert.equal((await visitor.ask('GET', '/api/v1/account')).status, 401, what);
    return;
  }
  credential.refusals = 0;
  const probes: readonly (readonly [Permission, string])[] = [
    ['market:read', '/instruments?limit=1'],
    ['platform:read', '/connections'],
    ['tenant:read', `/tenants/${user.tenant}/users?limit=1`],
    ['platform:admin', '/tenants?limit=1'],
  ];
  const [permission, path] = probes[probe % probes.length] as (typeof probes)[number];
  const response = await visitor.ask('GET', `/api/v1${path}`);
  await response.body?.cancel();
  assert.equal(response.status, permissions.has(permission) ? 200 : 403, `${what}: ${path}`);
  const account = await visitor.ask('GET', '/api/v1/account');
  const content = (await account.json()) as { permissions: Permission[] };
  assert.equal(account.status, permissions.has('account:read') ? 200 : 403, `${what}: ${JSON.stringify(content)}`);
  if (account.ok) assert.deepEqual(new Set(content.permissions), permissions, what);
  const graphql = await visitor.ask('POST', '/api/v1/graphql', { query: '{ account { permissions } }' });
  const { data } = (await graphql.json()) as { data?: { account?: object | null } };
  assert.equal(Boolean(data?.account), permissions.has('account:read'), `${what} over GraphQL: ${graphql.status}`);
}

/** Checks that streams have ended exactly if they must. Then opens a new one, which must be accepted exactly if it may. */
export async function checkStreams(credential: Credential, isGraphql: boolean): Promise<void> {
  const { streams, user } = credential;
  const what = nameOf(credential);
  for (const stream of [...streams]) {
    if (endsStream(credential, stream)) {
      await until(() => stream.socket.readyState === WebSocket.CLOSED, `${what}: its stream ends`, ENDS_MS_MAX);
      streams.splice(streams.indexOf(stream), 1);
    } else {
      assert.equal(stream.socket.readyState, WebSocket.OPEN, `${what}: its stream has ended`);
      stream.socket.ping();
      await once(stream.socket, 'pong');
    }
  }
  const permissions = permissionsNow(credential);
  if (streams.length > 0 || permissions === null) return;
  const socket = await (isGraphql ? openGraphql(credential) : openSocket(credential, permissions.has('market:read')));
  streams.push({ socket, version: user.version });
}

const addressOf = ({ visitor }: Credential, path: string) => visitor.url.replace('http', 'ws') + path;

async function openSocket(credential: Credential, isAccepted: boolean): Promise<WebSocket> {
  const socket = new WebSocket(addressOf(credential, '/api/v1/socket'), { headers: credential.visitor.credentials() });
  await once(socket, 'open');
  const { promise, resolve } = Promise.withResolvers<boolean>();
  socket.on('message', (raw) => {
    const { id, ok } = JSON.parse(String(raw));
    if (id === 's') resolve(ok);
  });
  socket.send(JSON.stringify({ op: 'subscribe', id: 's', channels: ['tickers'] }));
  assert.equal(await promise, isAccepted, `${nameOf(credential)} over WebSocket`);
  return socket;
}

async function openGraphql(credential: Credential): Promise<WebSocket> {
  const headers = credential.visitor.credentials();
  const socket = new WebSocket(addressOf(credential, '/api/v1/graphql'), 'graphql-transport-ws', { headers });
  await once(socket, 'open');
  socket.send(JSON.stringify({ type: 'connection_init' }));
  await once(socket, 'message');
  socket.send(JSON.stringify({ id: 's', type: 'subscribe', payload: { query: GRAPHQL } }));
  return socket;
}
