import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openApiDocument } from '@millrace/contracts/documents';
import { type Guarded, startGuarded } from '../accounts/visitor.ts';
import { type FuzzLength, type FuzzReport, fuzz } from './fuzzer.ts';
import { fuzzGraphQl, type GraphQlFuzzReport } from './graphql-fuzzer.ts';
import { runSchemathesis } from './schemathesis.ts';

/** Operations that would end the sessions of the run, or never respond. */
const LEFT_OUT = new Set([
  'signOut',
  'deleteSession',
  'revokeApiKey',
  'changePassword',
  'enableTwoFactor',
  'confirmTwoFactor',
  'replaceHost',
  'drainHost',
  // Would limit the owner to ten requests per second.
  'updateTenant',
]);

/** Log messages that need the attention of an operator. */
export interface Logged {
  readonly failures: readonly string[];
}

/** Starts a server and fuzzes it. @throws when the server has ended */
export function fuzzServer(length: FuzzLength, seed: number): Promise<FuzzReport & Logged> {
  return withServer(async (guarded, cookie) =>
    fuzz({
      url: guarded.server.url,
      document: openApiDocument() as never,
      callers: await callersOf(guarded, cookie),
      droppedUpdates: LEFT_OUT,
      length,
      seed,
    }),
  );
}

/** Starts a server and sends GraphQL documents. @throws when the server has ended */
export function fuzzGraphQlServer(milliseconds: number, seed: number): Promise<GraphQlFuzzReport & Logged> {
  return withServer(async (guarded, cookie) =>
    fuzzGraphQl({ url: guarded.server.url, callers: await callersOf(guarded, cookie), droppedUpdates: LEFT_OUT, milliseconds, seed }),
  );
}

async function callersOf({ owner }: Guarded, cookie: string): Promise<Record<string, Record<string, string>>> {
  const { key } = await owner.key('fuzz', [
    'market:read',
    'platform:read',
    'platform:operate',
    'platform:admin',
    'tenant:read',
    'tenant:manage',
    'account:read',
    'account:write',
    'world:play',
  ]);
  return { owner: { cookie }, key: { 'x-api-key': key }, nobody: {}, forger: { authorization: 'Bearer x.y.z' } };
}

/** Starts a server and runs Schemathesis as its owner. @throws when the server has ended */
export function schemathesisServer(seconds: number, seed: number): Promise<{ readonly passed: boolean } & Logged> {
  return withServer(async ({ server }, cookie) => ({
    passed: await runSchemathesis({ url: server.url, cookie, droppedUpdates: [...LEFT_OUT, 'stream'], seconds, seed }),
  }));
}

async function withServer<T extends object>(work: (guarded: Guarded, cookie: string) => Promise<T>): Promise<T & Logged> {
  const folder = mkdtempSync(join(tmpdir(), 'millrace-fuzz-'));
  const guarded = await startGuarded(folder);
  try {
    const cookie = [...guarded.owner.jar].map(([name, value]) => `${name}=${value}`).join('; ');
    const done = await work(guarded, cookie);
    // The server still responds.
    await guarded.owner.get('GET', '/instruments');
    const lines = guarded.server.errors().split('\n');
    return { ...done, failures: lines.filter((line) => /"level":"(error|fatal)"/.test(line) && !line.includes('"an alert"')) };
  } finally {
    await guarded.server.stop();
    rmSync(folder, { recursive: true, force: true });
  }
}
