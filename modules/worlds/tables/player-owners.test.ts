import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { connectDatabase, type Database, migrateDatabase } from '@millrace/database';
import { ENGINES, type TestDatabase } from '@millrace/database/testing';
import { PlayerOwners } from './player-owners.ts';

const MIGRATIONS = join(import.meta.dirname, '..', '..', '..', 'apps', 'server', 'migrations');

for (const engine of ENGINES)
  describe(`players of users on ${engine.name}`, () => {
    let running: TestDatabase;
    const servers: Database[] = [];
    before(async () => {
      running = await engine.open();
      servers.push(connectDatabase(running.address), connectDatabase(running.address));
      await migrateDatabase(servers[0] as Database, MIGRATIONS);
    });
    after(async () => {
      for (const server of servers) await server.close();
      await running.close();
    });

    test('fault 27: two servers with concurrent requests give a user no more players than allowed in total', async () => {
      const owners = servers.map((server) => new PlayerOwners(server, 10));
      const added = await Promise.all(
        Array.from({ length: 30 }, (_none, index) =>
          (owners[index % 2] as PlayerOwners).add('kim', { player: `p-${index}`, name: `Kim ${index}` }, 1_000, 2_000),
        ),
      );
      const refused = added.filter((owned) => owned !== null);
      assert.equal(refused.length, 20);
      for (const owned of refused) assert.equal(owned.length, 10);
      assert.equal(await owners[0]?.add('lee', { player: 'p-lee', name: 'Lee' }, 1_000, 2_000), null);
    });

    test('fault 27: a player whose token has ended counts no more; one with a new token does', async () => {
      const owners = new PlayerOwners(servers[0] as Database, 2);
      const first = { player: 'p-first', name: 'First' };
      const second = { player: 'p-second', name: 'Second' };
      await owners.add('park', first, 1_000, 2_000);
      await owners.add('park', second, 1_000, 2_000);
      assert.deepEqual(await owners.add('park', { player: 'p-third', name: 'Third' }, 1_999, 3_000), [first, second]);
      assert.equal(await owners.renew('park', { ...first, name: 'Renamed' }, 1_999, 3_000), true);
      assert.equal(await owners.renew('lee', first, 1_999, 3_000), false);
      assert.equal(await owners.renew('park', second, 2_000, 3_000), false);
      assert.equal(await owners.add('park', { player: 'p-third', name: 'Third' }, 2_000, 3_000), null);
      assert.equal((await owners.add('park', { player: 'p-fourth', name: 'Fourth' }, 2_000, 3_000))?.[0]?.name, 'Renamed');
    });
  });
