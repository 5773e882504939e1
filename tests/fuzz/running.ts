import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openApiDocument } from '@millrace/contracts/documents';
import { startGuarded } from '../accounts/visitor.ts';
import { type FuzzReport, fuzz } from './fuzzer.ts';

/** They would end what the run asks with, or wait for what never comes. */
const LEFT_OUT = new Set([
  'signOut',
  'endSession',
  'revokeKey',
  'changePassword',
  'enableSecondFactor',
  'confirmSecondFactor',
  'replaceHost',
  'drainHost',
  // Would leave the owner with ten requests a second.
  'changeTenant',
]);

/** Fuzzes a server of its own for a while. Throws when it has ended. */
export async function fuzzServer(milliseconds: number, seed: number): Promise<FuzzReport & { errors: string }> {
  const folder = mkdtempSync(join(tmpdir(), 'millrace-fuzz-'));
  const guarded = await startGuarded(folder);
  try {
    const { key } = await guarded.owner.key('fuzz', [
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
    const cookie = [...guarded.owner.jar].map(([name, value]) => `${name}=${value}`).join('; ');
    const report = await fuzz({
      url: guarded.server.url,
      document: openApiDocument() as never,
      callers: { owner: { cookie }, key: { 'x-api-key': key }, nobody: {}, forger: { authorization: 'Bearer x.y.z' } },
      leftOut: LEFT_OUT,
      milliseconds,
      seed,
    });
    // It still serves.
    await guarded.owner.get('GET', '/instruments');
    return { ...report, errors: guarded.server.errors() };
  } finally {
    await guarded.server.stop();
    rmSync(folder, { recursive: true, force: true });
  }
}
