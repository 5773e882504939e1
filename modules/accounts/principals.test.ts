import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { systemClock } from '@millrace/base/clock';
import type { Principal } from '@millrace/contracts';
import type { Database } from '@millrace/database';
import type { Clock } from '@millrace/kernel';
import { ManualClock } from '@millrace/kernel/testing';
import { exportJWK, generateKeyPair, SignJWT } from 'jose';
import { Principals } from './principals.ts';
import { UserStore } from './user-store.ts';

const ISSUER = 'https://mill.example';

/** Principals whose lookups call `during` while they run. */
function principalsWith({
  session,
  during,
  isRevoked,
  clock = systemClock,
}: {
  session?: () => object | null;
  during?: () => Promise<void>;
  isRevoked?: () => boolean;
  clock?: Clock;
}) {
  const lookups: string[] = [];
  const keys = generateKeyPair('EdDSA');
  const principals: Principals = new Principals({
    identity: () =>
      ({
        api: {
          getSession: async ({ headers }: { headers: Headers }) => {
            lookups.push(headers.get('cookie') ?? '');
            const found = session?.() ?? null;
            await during?.();
            return found;
          },
          getJwks: async () => ({ keys: [{ ...(await exportJWK((await keys).publicKey)), kid: 'k', alg: 'EdDSA' }] }),
        },
      }) as never,
    keys: { forget: () => {} } as never,
    userStore: {
      tierOf: async () => {
        await during?.();
        return 'free';
      },
    } as never,
    revocations: { requireCurrent: () => {}, isRevoked: () => isRevoked?.() ?? false },
    clock,
    issuer: () => ISSUER,
    guests: [],
    twoFactorRequired: false,
    onFailure: (message) => assert.fail(message),
  });
  const token = async () =>
    new SignJWT({ tenant: 'main', role: 'trader', sid: 's1', name: 'Kim', mfa: false, ver: 1 })
      .setProtectedHeader({ alg: 'EdDSA', kid: 'k' })
      .setSubject('kim')
      .setIssuer(ISSUER)
      .setAudience(ISSUER)
      .setExpirationTime('10m')
      .sign((await keys).privateKey);
  const identify = async (headers: Record<string, string>): Promise<Principal> => principals.identify({ headers, remote: '10.0.0.1' });
  return { principals, identify, lookups, token };
}

const SESSION = {
  user: { id: 'kim', name: 'Kim', role: 'trader', tenant: 'main', disabled: false, version: 1 },
  session: { id: 's1', expiresAt: new Date(Date.now() + 3_600_000) },
};

describe('a credential that is revoked while it is looked up', () => {
  test('is none: a session', async () => {
    let isGone = false;
    const { principals, identify, lookups } = principalsWith({
      session: () => (isGone ? null : SESSION),
      during: async () => {
        if (isGone) return;
        isGone = true;
        principals.forget({ credential: 's1' });
      },
    });
    assert.equal((await identify({ cookie: 'millrace.session_token=abc' })).kind, 'anonymous');
    assert.equal(lookups.length, 2);
  });

  test('is refused: an access token', async () => {
    let isGone = false;
    const { identify, token } = principalsWith({
      during: async () => {
        isGone = true;
      },
      isRevoked: () => isGone,
    });
    await assert.rejects(identify({ authorization: `Bearer ${await token()}` }), /The access token was revoked/);
  });
});

test('a session counts until it expires, also while it is cached', async () => {
  const clock = new ManualClock(1_000);
  const { identify, lookups } = principalsWith({
    session: () => ({ ...SESSION, session: { id: 's1', expiresAt: new Date(6_000) } }),
    clock,
  });
  const cookie = 'millrace.session_token=abc';
  // Streams end when the credential of their principal expires.
  assert.partialDeepStrictEqual(await identify({ cookie }), { kind: 'session', expiresAt: 6_000 });
  clock.jump(4_999);
  assert.equal((await identify({ cookie })).kind, 'session');
  clock.jump(1);
  assert.equal((await identify({ cookie })).kind, 'anonymous');
  assert.equal(lookups.length, 1);
});

test('a cookie that is longer than that of any session is none, and is not looked up', async () => {
  const { identify, lookups } = principalsWith({ session: () => SESSION });
  assert.equal((await identify({ cookie: `millrace.session_token=${'x'.repeat(513)}` })).kind, 'anonymous');
  assert.deepEqual(lookups, []);
  assert.equal((await identify({ cookie: 'a=b; __Host-millrace.session_token=abc; c=d' })).kind, 'session');
});

test('a tier that changes while it is read is read again', async () => {
  let tier = 'free';
  let reads = 0;
  const store: UserStore = new UserStore({
    drizzle: {
      select: () => ({
        from: () => ({
          where: async () => {
            const rows = [{ tier }];
            if (++reads === 1) {
              tier = 'enterprise';
              store.forgetTiers();
            }
            return rows;
          },
        }),
      }),
    },
  } as unknown as Database);
  assert.deepEqual([await store.tierOf('main'), await store.tierOf('main'), reads], ['enterprise', 'enterprise', 2]);
});
