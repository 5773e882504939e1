import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type CommandAnswer, WorldClient } from '@millrace/client/world';
import type { PlayerId, ZoneId } from '@millrace/contracts';
import fc from 'fast-check';
import { MemoryLink, runTimersOn } from './memory-link.ts';
import { type MemoryWorld, openMemoryWorld } from './world-in-memory.ts';

/*
 * Law of the world client, for every history of commands and failures of the network: each promise settles exactly once; a command succeeds if and only if
 * the zone has accepted it, unless its session ended before the reply arrived; and when the network works again, the client has the state of the server.
 */

const kim = 'p-kim' as PlayerId;
/** Longer than any watchdog, the linger time and the longest delay between two attempts to connect, ms. */
const HEALED_MS = 60_000;

const step = fc.oneof(
  { arbitrary: fc.constantFrom('move', 'cross', 'say', 'take', 'many moves', 'edit'), weight: 6 },
  { arbitrary: fc.constantFrom('join', 'leave'), weight: 4 },
  { arbitrary: fc.constantFrom('cut', 'drop', 'silence both', 'silence down', 'unreachable', 'reachable'), weight: 3 },
  // Replies to accepted commands are lost; the session ends meanwhile.
  { arbitrary: fc.constantFrom('lost replies', 'outage'), weight: 1 },
  { arbitrary: fc.constantFrom(0, 5, 20, 25, 45, 60, 150, 400, 2_000, 12_000, 45_000), weight: 8 },
);

interface Sent {
  readonly what: string;
  /** `session number` of a command that zones number; null of `join`, `leave` and commands that were not sent. */
  readonly key: string | null;
  readonly results: CommandAnswer[];
}

const COMPOSED: Readonly<Record<string, readonly (string | number)[]>> = {
  'lost replies': ['silence down', 'many moves', 100, 'drop'],
  outage: ['unreachable', 'cut', 12_000, 'reachable'],
};

class History {
  readonly world: MemoryWorld;
  readonly link: MemoryLink;
  readonly client: WorldClient;
  readonly sent: Sent[] = [];
  #moves = 0;

  constructor(world: MemoryWorld) {
    this.world = world;
    this.link = new MemoryLink(world);
    this.client = new WorldClient({ connect: this.link.connect, token: kim });
  }

  async run(what: string | number): Promise<void> {
    for (const each of COMPOSED[what] ?? []) await this.run(each);
    if (what in COMPOSED) return;
    const { client, link, world } = this;
    if (typeof what === 'number') return world.clock.advance(what);
    const { x, y } = client.you ?? { x: 0, y: 0 };
    if (what === 'move') this.#send(what, () => client.move(x - 1, y + (++this.#moves % 2)));
    else if (what === 'cross') this.#send(what, () => client.move(x < 6_400 ? 6_401 : 6_399, y));
    else if (what === 'say') this.#send(what, () => client.say('hi'));
    else if (what === 'take') this.#send(what, () => client.take('0-0:i1'));
    else if (what === 'many moves') for (let count = 0; count < 60; count++) this.#send(what, () => client.move(x + (count % 2), y));
    else if (what === 'edit') this.#toBorder();
    else if (what === 'join') this.#send(what, () => client.join());
    else if (what === 'leave') this.#send(what, () => client.leave());
    else if (what === 'cut') link.cut();
    else if (what === 'drop') client.drop();
    else if (what === 'silence both') link.silence('both');
    else if (what === 'silence down') link.silence('from the server');
    else link.isReachable = what === 'reachable';
  }

  /** An operator moves the player to the border. */
  #toBorder(): void {
    const zone = this.world.gateway.zoneOf(kim) ?? ('0-0' as ZoneId);
    const fields = { x: zone === '0-0' ? 6_395 : 6_405, y: 150 };
    const edit = { type: 'EditPlayer', player: kim, component: 'position', fields, operator: 'u', reason: 'r' } as const;
    void this.world.gateway.command(zone, edit, {});
  }

  #send(what: string, call: () => Promise<CommandAnswer>): void {
    const before = this.link.sent.length;
    const isCounted = what !== 'join' && what !== 'leave';
    const results: CommandAnswer[] = [];
    void call().then((result) => results.push(result));
    const frame = this.link.sent[before];
    const session = this.link.of('welcome').at(-1)?.session;
    this.sent.push({ what, key: isCounted && frame && 'n' in frame ? `${session} ${frame.n}` : null, results });
  }
}

function checkResults({ sent, world }: History): void {
  for (const [index, { what, key, results }] of sent.entries()) {
    assert.equal(results.length, 1, `promise ${index} (${what}) settles`);
    if (key === null) continue;
    const [result] = results as [CommandAnswer];
    if (result.ok || result.code !== 'OUTCOME_UNKNOWN')
      assert.equal(result.ok, world.accepted.has(key), `${what} ${key}: ${JSON.stringify(result)}`);
  }
}

/** The client has the state of the server. */
function checkState({ client, sent, world }: History): void {
  const session = world.gateway.sessionOf(kim);
  const zones = ['0-0', '1-0'].filter((zone) => world.state(zone).awake > 0);
  const isJoined = client.state === 'joined';
  assert.deepEqual([session?.stage, zones.length], isJoined ? ['playing', 1] : ['lobby', 0]);
  assert.equal(client.zone?.zone, zones[0]);
  const position = zones[0] === undefined ? undefined : world.state(zones[0]).players[kim]?.position;
  assert.deepEqual(client.you && { x: client.you.x, y: client.you.y }, position ? { x: position.x, y: position.y } : null);
  const last = sent.findLast(({ what }) => what === 'join' || what === 'leave');
  // A `leave` that was refused leaves the player in the world; NOT_JOINED is a promise to leave later.
  if (last?.what === 'join') assert.equal(isJoined, true);
  else if (last?.results[0]?.ok || JSON.stringify(last?.results[0]).includes('NOT_JOINED')) assert.equal(isJoined, false);
}

test('the client keeps its law in every history', async ({ mock }) => {
  let world: MemoryWorld;
  runTimersOn(mock, () => world.clock);
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 30 }), async (steps) => {
      world = await openMemoryWorld({ columns: 2 });
      const history = new History(world);
      for (const each of ['join', 300, 'edit', 100, ...steps]) await history.run(each);
      await history.run('reachable');
      await world.clock.advance(HEALED_MS);
      checkResults(history);
      checkState(history);
      history.client.close();
      world.gateway.stop();
      world.host.stop();
    }),
    { numRuns: Number(process.env.RUNS ?? 40) },
  );
});
