import { type ChildProcess, fork } from 'node:child_process';
import { join } from 'node:path';
import type { PlayerToken, World } from '@millrace/contracts';
import { startServerIn } from '../apps/server/drill/server-process.ts';
import { startSwarm } from '../apps/server/swarm/swarm.ts';
import type { CheatingOrders, CheatingReport } from '../tests/worlds/cheating-process.ts';
import { inFolder, median, quantile, report } from './measure.ts';

/*
 * Latency at 300 honest bots, alternately without and with 36 cheats. The cheats teleport, move too fast, walk through walls, flood, repeat command
 * numbers, and send invalid, oversized and slow frames.
 */

const HONEST = 300;
const CHEATS = 36;
const ROUNDS = 6;
const WATCHED_SECONDS = 10;
const SETTLE_SECONDS = 2;
const JOIN_MS_MAX = 60_000;
const CHEATING = join(import.meta.dirname, '..', 'tests', 'worlds', 'cheating-process.ts');

await inFolder(async (folder) => {
  const server = await startServerIn(folder, { sources: [], worlds: { columns: 4, rows: 4, hosts: 1, tcpPort: 0 } });
  const { tcpPort } = (await (await fetch(`${server.url}/api/v1/world`)).json()) as World;
  const tokens: string[] = [];
  for (let index = 1; index <= CHEATS; index++) {
    const response = await fetch(`${server.url}/api/v1/world/players`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ name: `Cheat ${index}` }),
    });
    tokens.push(((await response.json()) as PlayerToken).token);
  }
  const swarm = await startSwarm({ server: server.url, players: HONEST, movesPerSecond: 2, processes: 1 });
  await swarm.joined(JOIN_MS_MAX);
  await swarm.watch(SETTLE_SECONDS);
  const withoutCheats: number[] = [];
  const withCheats: number[] = [];
  const refusals: Record<string, number> = {};
  let tried = 0;
  for (let round = 0; round < ROUNDS; round++) {
    withoutCheats.push(quantile((await swarm.watch(WATCHED_SECONDS)).tally.latencies, 0.99));
    const cheating = fork(CHEATING);
    cheating.send({ host: '127.0.0.1', port: tcpPort, tokens } satisfies CheatingOrders);
    const newestReport = trackReports(cheating);
    await swarm.watch(SETTLE_SECONDS);
    const { tally } = await swarm.watch(WATCHED_SECONDS);
    withCheats.push(quantile(tally.latencies, 0.99));
    cheating.disconnect();
    const cheatReport = newestReport();
    tried += cheatReport.tried;
    for (const [code, count] of Object.entries(cheatReport.refused)) refusals[code] = (refusals[code] ?? 0) + count;
    console.error(
      `honest p99 ${withoutCheats.at(-1)?.toFixed(1)} ms without cheats, ${withCheats.at(-1)?.toFixed(1)} ms with cheats; ${cheatReport.tried} attempts to cheat, ${cheatReport.accepted} commands accepted, ${JSON.stringify(cheatReport.refused)}`,
    );
    await swarm.watch(SETTLE_SECONDS);
  }
  swarm.end();
  await server.stop();
  report({
    what: 'honest players’ latency p99 with cheats (bare: without)',
    ours: median(withCheats),
    bare: median(withoutCheats),
    unit: 'ms',
    budget: { kind: '<=', value: 1.25 },
    note: `${CHEATS} cheats, ${tried} attempts, ${Object.values(refusals).reduce((sum, count) => sum + count, 0)} refused`,
  });
});
process.exit();

/** Returns a function that gives the newest report of a process. */
function trackReports(child: ChildProcess): () => CheatingReport {
  let newest: CheatingReport = { tried: 0, accepted: 0, refused: {} };
  child.on('message', (message) => {
    newest = message as CheatingReport;
  });
  return () => newest;
}
