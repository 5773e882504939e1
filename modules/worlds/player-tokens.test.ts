import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { connectDatabase, type Database, migrateDatabase } from '@millrace/database';
import { ENGINES, type TestDatabase } from '@millrace/database/testing';
import { ApiProblem } from '@millrace/http';
import { playerTokens } from './gateway/tokens.ts';
import { issuePlayerToken } from './player-tokens.ts';
import { PlayerOwners } from './tables/player-owners.ts';

const MIGRATIONS = join(import.meta.dirname, '..', '..', 'apps', 'server', 'migrations');
const SECRET = new TextEncoder().encode('a secret for tests that is long enough');

for (const engine of ENGINES)
  describe(`tokens of players on ${engine.name}`, () => {
    const tokens = playerTokens(SECRET);
    let running: TestDatabase;
    let database: Database;
    before(async () => {
      running = await engine.open();
      database = connectDatabase(running.address);
      await migrateDatabase(database, MIGRATIONS);
    });
    after(async () => {
      await database.close();
      await running.close();
    });
    const parts = (playersMax = 10) => ({ tokens, owners: new PlayerOwners(database, playersMax) });
    const refusal = async (given: Promise<unknown>): Promise<ApiProblem> => {
      const error = await given.then(
        () => assert.fail('it was not refused'),
        (problem: unknown) => problem,
      );
      assert.ok(error instanceof ApiProblem, String(error));
      return error;
    };

    test('fault 83: a player without a recorded owner gets a new token for a valid one, and its owner is recorded', async () => {
      const player = `p-${engine.name.toLowerCase()}-old`;
      const token = await tokens.issue({ player, name: 'Kim', user: 'kim' });
      const without = await refusal(issuePlayerToken(parts(), 'kim', { name: 'Kim', player }));
      assert.equal(without.code, 'UNKNOWN_PLAYER');
      assert.match(`${without.message} ${without.remedy}`, new RegExp(`${player}.*send its token as "token"`));
      const renewed = await issuePlayerToken(parts(), 'kim', { name: 'Kim 2', player, token });
      assert.deepEqual(await tokens.verify(renewed.token), { player, name: 'Kim 2', user: 'kim' });
      // From now on the recorded owner is the proof.
      assert.equal((await issuePlayerToken(parts(), 'kim', { name: 'Kim 3', player })).player, player);
      // Concurrent requests record it once.
      await Promise.all([1, 2].map(() => issuePlayerToken(parts(1), 'kim', { name: 'Kim 4', player, token })));
    });

    test('fault 83: a token proves nothing for another user, another player, a guest, or after its end', async () => {
      const player = `p-${engine.name.toLowerCase()}-lee`;
      const issue = (claims: object, hours?: number) =>
        playerTokens(SECRET, hours).issue({ player, name: 'Lee', user: 'lee', ...claims } as Parameters<typeof tokens.issue>[0]);
      const forged = await playerTokens(new TextEncoder().encode('another secret that is long enough')).issue({
        player,
        name: 'Mallory',
        user: 'mallory',
      });
      const [ofLee, ofGuest] = [await issue({}), await issue({ user: null })];
      for (const [user, token, name] of [
        ['mallory', ofLee, 'of another user'],
        ['mallory', ofGuest, 'of a guest'],
        ['mallory', forged, 'signed with another secret'],
        ['mallory', 'no token', 'none'],
        ['lee', await issue({ player: `${player}-2` }), 'of another player'],
        ['lee', await issue({}, -1), 'that has ended'],
        [null, ofGuest, 'sent by a guest'],
      ] as const) {
        const { code } = await refusal(issuePlayerToken(parts(), user, { name: 'Lee', player, token }));
        assert.equal(code, 'UNKNOWN_PLAYER', `a token ${name}`);
      }
      // The recorded owner is never replaced, not even for a token that is signed with the secret and names another user.
      await issuePlayerToken(parts(), 'lee', { name: 'Lee', player, token: ofLee });
      const signed = await issue({ user: 'mallory' });
      assert.equal((await refusal(issuePlayerToken(parts(), 'mallory', { name: 'Lee', player, token: signed }))).code, 'UNKNOWN_PLAYER');
      assert.equal((await issuePlayerToken(parts(), 'lee', { name: 'Lee', player })).player, player);
    });

    test('fault 83: players whose owner is recorded later count like all others', async () => {
      const limited = parts(1);
      await issuePlayerToken(limited, 'park', { name: 'Park' });
      const player = `p-${engine.name.toLowerCase()}-park`;
      const token = await tokens.issue({ player, name: 'Park', user: 'park' });
      assert.equal((await refusal(issuePlayerToken(limited, 'park', { name: 'Park', player, token }))).code, 'TOO_MANY_PLAYERS');
    });
  });
