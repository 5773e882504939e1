import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import type { Account, TwoFactorSetup } from '@millrace/contracts';
import { type TOTP, URI } from 'otpauth';
import { WITHOUT_WORLD } from '../server.ts';
import { GrantHistory } from './grants-history.ts';
import type { Credential } from './grants-model.ts';
import { type Guarded, PASSWORD, startGuarded } from './visitor.ts';

/** Environment variables for longer runs: first seed, number of seeds, changes of each history. */
const { GRANTS_SEED = '4', GRANTS_SEEDS = '1', GRANTS_STEPS = '25' } = process.env;

describe('random histories of grants and revocations', () => {
  const folder = mkdtempSync(join(tmpdir(), 'millrace-grants-'));
  let guarded: Guarded;
  let root: Credential;
  before(async () => {
    guarded = await startGuarded(folder, { ...WITHOUT_WORLD, MILLRACE_ACCOUNTS__TWO_FACTOR: 'operators' });
    const { owner } = guarded;
    const setup = await owner.get<TwoFactorSetup>('POST', '/account/two-factor', { password: PASSWORD });
    await owner.get('POST', '/account/two-factor/confirm', { code: (URI.parse(setup.uri) as TOTP).generate() });
    const { user: id, name } = await owner.get<Account>('GET', '/account');
    const user = { id, name, email: 'owner@example.com', tenant: 'main', role: 'admin' as const, disabled: false, password: PASSWORD };
    root = {
      kind: 'session',
      user: { ...user, hasTwoFactor: true, recoveryCodes: [], version: 0 },
      visitor: owner,
      id: 'root',
      name: '',
      isEnded: false,
      isStrong: true,
      scopes: null,
      role: 'admin',
      version: 0,
      session: null,
      streams: [],
      refusals: 0,
    };
    await guarded.tenant('acme');
  });
  after(async () => {
    await guarded.server.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  for (let seed = Number(GRANTS_SEED); seed < Number(GRANTS_SEED) + Number(GRANTS_SEEDS); seed++)
    test(`every surface obeys each answered change at once, and the audit log has one entry for each: seed ${seed}`, async () => {
      const history = new GrantHistory(guarded, seed, root, ['main', 'acme']);
      await history.run(Number(GRANTS_STEPS)).catch((error) => {
        throw new Error(`${error.message}\nThe last requests:\n${history.log.slice(-12).join('\n')}`, { cause: error });
      });
    });
});
