import { join } from 'node:path';
import type { WorldPlan } from '@millrace/contracts';
import { lastSeqOf, ZoneHost, zoneAddress } from '@millrace/kernel';
import { ManualClock, openNumbers } from '@millrace/kernel/testing';
import { openLmdbLog, openSpools } from '@millrace/log';
import { openFileSnapshots, openLmdbSnapshots, scheduleSnapshots } from '@millrace/snapshots';
import { hashOf, type World, worldZone, zoneAtPoint } from '@millrace/worlds';
import { Packr } from 'msgpackr';
import { inFolder, quantile, report } from './measure.ts';

/*
 * 100 players walk in a zone until it has a million events, with snapshots as in production. Then the state at 100 random points in time is read, and
 * its hash is compared with the hash of the live state at that time.
 */

const EVENTS = 1_000_000;
const packr = new Packr();
const POINTS = 100;
const PLAYERS = 100;
const TICK_MS = 50;
/** Ticks between two moves of a player. */
const TICKS_PER_MOVE = 10;
const TICKS_PER_FLUSH = 20;
const STEP_CM = 200;
const ZONE = '0-0';
const PLAN: WorldPlan = { seed: 11, columns: 1, rows: 1, monsters: 8, items: 24 };

await inFolder(async (folder) => {
  const clock = new ManualClock(Date.UTC(2026, 0, 1));
  const log = openLmdbLog(join(folder, 'log'));
  const hot = openLmdbSnapshots(join(folder, 'hot'));
  const cold = openFileSnapshots(join(folder, 'cold'));
  const points = new Set(Array.from({ length: POINTS }, () => 1 + Math.floor(Math.random() * EVENTS)));
  const live = new Map<number, string>();
  let nextPoints = [...points].sort((a, b) => a - b);
  const address = zoneAddress(worldZone.kind, ZONE);
  const host = new ZoneHost({
    log,
    hot,
    cold,
    clock,
    random: openNumbers,
    spools: openSpools(join(folder, 'spool'), { bytesMax: 1e9 }),
    onDecided: (batch, state) => {
      const last = lastSeqOf(batch);
      if (nextPoints[0] === undefined || last < nextPoints[0]) return;
      // The state is available only after a turn: uses the first batch that reaches the chosen seq.
      live.set(last, hashOf(state));
      nextPoints = nextPoints.filter((seq) => seq > last);
    },
  });
  host.register(worldZone);
  const endSnapshots = scheduleSnapshots(host, clock);
  await host.open(address);
  host.send(address, { type: 'CreateZone', plan: PLAN });
  for (let player = 0; player < PLAYERS; player++)
    host.send(address, { type: 'JoinZone', player: `p${player}`, name: `p${player}`, session: `s${player}`, isNew: true });
  const numbers = new Array<number>(PLAYERS).fill(0);
  for (let tick = 0; (host.view(address)?.seq ?? 0) < EVENTS; tick++) {
    const state = host.view(address)?.state as World;
    for (let player = tick % TICKS_PER_MOVE; player < PLAYERS; player += TICKS_PER_MOVE) {
      const position = state.players[`p${player}`]?.position;
      if (!position) continue;
      const n = (numbers[player] ?? 0) + 1;
      numbers[player] = n;
      const direction = Math.random() * 2 * Math.PI;
      const x = Math.round(position.x + Math.cos(direction) * STEP_CM);
      const y = Math.round(position.y + Math.sin(direction) * STEP_CM);
      host.send(address, { type: 'Move', player: `p${player}`, session: `s${player}`, n, x, y });
    }
    await clock.advance(TICK_MS);
    // The manual clock is faster than the disk: without this wait, the log would time out.
    if (tick % TICKS_PER_FLUSH === 0) await host.recorded();
  }
  await host.recorded();
  endSnapshots();
  const durations: number[] = [];
  // The minimum work of any implementation: to unpack a state of that size and hash it.
  const bare: number[] = [];
  const packed = packr.pack(host.view(address)?.state);
  let same = 0;
  for (const [seq, hash] of live) {
    const started = performance.now();
    const past = await zoneAtPoint({ log, hot, cold, clock, newest: async () => null }, ZONE, { seq });
    durations.push(performance.now() - started);
    const bareStarted = performance.now();
    hashOf(packr.unpack(packed) as World);
    bare.push(performance.now() - bareStarted);
    if (past.hash === hash) same++;
  }
  const minutes = Math.round((clock.now() - Date.UTC(2026, 0, 1)) / 60_000);
  report({
    what: `time travel: points in time within ${EVENTS.toLocaleString('en')} events whose state equals the live state`,
    ours: same,
    bare: live.size,
    unit: 'points',
    budget: { kind: '>=', value: 1 },
  });
  report({
    what: 'time travel: time to read a past state of a zone, p99',
    ours: quantile(durations, 0.99),
    bare: quantile(bare, 0.99),
    unit: 'ms',
    budget: { kind: '<=', value: 500 },
    note: `p50 ${quantile(durations, 0.5).toFixed(0)} ms; ${PLAYERS} players, ${minutes} minutes of play`,
  });
});
process.exit();
