import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { tcp } from '@millrace/client/tcp';
import { WorldClient } from '@millrace/client/world';
import type { PlayerToken, Problem, Wire, World, ZonePointInTime, ZoneRecord } from '@millrace/contracts';
import { openLmdbLog } from '@millrace/log';
import { IS_ON_KAFKA } from '../log-engine.ts';
import { Random } from '../market-law/random.ts';
import { contentOf } from '../response.ts';
import { type ServerProcess, startServer } from '../server.ts';

/*
 * The law of queries of the past, over the API of a real server: any past state is returned as it was observed live, or refused with the recorded range.
 * The answers are compared only with live observations.
 */

const ZONE = '/world/zones/0-0';
const PLAYERS = 3;
const SEEN_MIN = 400;
const QUESTIONS = 1_000;
const SEED = Number(process.env.QUESTION_SEED ?? 1);
/** A late step, and its events, have a time of up to five steps ago (kernel/ticks.ts). */
const LATE_MS_MAX = 300;

/** Live observation of a zone, with its time range, epoch ms. */
interface Seen {
  readonly seq: number;
  readonly objects: string;
  readonly asked: number;
  readonly told: number;
}

const objectsOf = ({ players, monsters, items, inTransit }: ZonePointInTime) => JSON.stringify({ players, monsters, items, inTransit });

// Retention of a log in Kafka is a fault of the simulated world, which asks for the past, too.
const SKIPPED = IS_ON_KAFKA && 'shortens the log in LMDB';

describe('queries of the past of a zone whose log was shortened by retention', { skip: SKIPPED }, () => {
  const folder = mkdtempSync(join(tmpdir(), 'millrace-questions-'));
  const seen: Seen[] = [];
  let server: ServerProcess;
  const start = () => startServer(['up', '--port', '0', '--data', join(folder, 'data')], { cwd: folder });

  async function ask<T>(path: string, body?: object): Promise<{ status: number; answer: T }> {
    const response = await fetch(`${server.url}/api/v1${path}`, {
      method: body ? 'POST' : 'GET',
      ...(body && { headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) }),
    });
    return { status: response.status, answer: (await contentOf(response)) as T };
  }

  async function see(): Promise<void> {
    const asked = Date.now();
    const { answer } = await ask<ZonePointInTime>(ZONE);
    seen.push({ seq: answer.seq, objects: objectsOf(answer), asked, told: Date.now() });
  }

  before(async () => {
    const worlds = { columns: 1, rows: 1, hosts: 0, monsters: 2, items: 10 };
    writeFileSync(join(folder, 'millrace.config.json'), JSON.stringify({ sources: [], worlds }));
    server = await start();
    const { tcpPort } = (await ask<World>('/world')).answer;
    const clients: WorldClient[] = [];
    for (let index = 0; index < PLAYERS; index++) {
      const { token } = (await ask<PlayerToken>('/world/players', { name: `Player ${index}` })).answer;
      const client = new WorldClient({ connect: tcp({ host: '127.0.0.1', port: tcpPort }), token });
      clients.push(client);
      assert.deepEqual(await client.join(), { ok: true });
    }
    const random = new Random(SEED);
    while (seen.length < SEEN_MIN) {
      await see();
      const client = random.pick(clients);
      const { you } = client;
      if (you && random.chance(0.3)) void client.move(you.x + random.integer(-60, 60), you.y + random.integer(-60, 60));
      if (random.chance(0.02)) void client.say(`at ${seen.length}`);
      // One of them is shortly after the events that retention drops: the recorded range starts there.
      if (random.chance(0.01) || seen.length === Math.floor(SEEN_MIN * 0.55))
        await ask(`${ZONE}/snapshots`, { store: random.pick(['hot', 'cold']) });
    }
    for (const client of clients) client.close();
    await server.stop();
    const log = openLmdbLog(join(folder, 'data', 'worlds', 'log'));
    const middle = seen[Math.floor(seen.length / 2)] as Seen;
    const now = Date.now();
    assert.ok((await log.retain({ olderThanMs: now - middle.asked, bytesMax: 1e12 }, now)) > 0, 'retention has dropped something');
    await log.close();
    server = await start();
  });
  after(async () => {
    await server.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  test(`${QUESTIONS} of them are answered exactly, or refused with the recorded range`, async () => {
    const { from, snapshots } = (await ask<Wire<ZoneRecord>>(`${ZONE}/record`)).answer;
    assert.ok(from && from.seq > 1, `the record begins at ${JSON.stringify(from)}`);
    const bySeq = new Map(seen.map((one) => [one.seq, one.objects]));
    const [first, last] = [seen[0] as Seen, seen.at(-1) as Seen];
    const random = new Random(SEED + 1);
    let [told, refused, compared] = [0, 0, 0];
    for (let question = 0; question < QUESTIONS; question++) {
      const isSeq = random.chance(0.5);
      const seq = random.chance(0.8) ? random.pick(seen).seq : random.integer(1, last.seq);
      const time = random.integer(first.asked - 200, last.told);
      const what = isSeq ? `seq=${seq}` : `time=${time}`;
      const { status, answer } = await ask<ZonePointInTime & Problem>(`${ZONE}?${what}`);
      const isOnRecord = isSeq ? seq >= from.seq || snapshots.some((one) => one.seq === seq) : time >= Date.parse(from.stateAt);
      if (status === 404) {
        assert.ok(!isOnRecord, `${what} is refused: ${answer.detail}`);
        assert.equal(answer.code, 'POINT_IN_TIME_UNAVAILABLE');
        assert.match(answer.remedy, new RegExp(`from event ${from.seq} `));
        refused++;
        continue;
      }
      assert.equal(status, 200, `${what}: ${JSON.stringify(answer)}`);
      told++;
      if (isSeq) assert.equal(answer.seq, seq);
      else {
        // States observed before that time were decided by then; states requested after it may have been decided later.
        const least = seen.findLast((one) => one.told < time)?.seq ?? 0;
        const most = seen.find((one) => one.asked > time + LATE_MS_MAX)?.seq ?? Number.POSITIVE_INFINITY;
        assert.ok(
          answer.seq >= least && answer.seq <= most,
          `${what} is told as event ${answer.seq}, it was seen between ${least} and ${most}`,
        );
      }
      const live = bySeq.get(answer.seq);
      if (live === undefined) continue;
      assert.ok(objectsOf(answer) === live, `${what}, event ${answer.seq}: is told as ${objectsOf(answer)}\nwas seen as ${live}`);
      compared++;
    }
    assert.ok(
      told > QUESTIONS / 4 && refused > QUESTIONS / 10 && compared > QUESTIONS / 8,
      `${told} told, ${refused} refused, ${compared} seen live`,
    );
  });
});
