import { stopEachInTurn } from '../tests/worlds/outages.ts';
import { quantile, report } from './measure.ts';

/* Response times of 300 bots while the log, the hot store, the cold store or the database is unavailable, for 30 s each. */

const CALM_MS = 10_000;
const OUTAGE_MS = 30_000;
const PLAYERS = 300;

const { outages, differences } = await stopEachInTurn(
  { seed: 3, columns: 4, rows: 4, monsters: 8, items: 24 },
  PLAYERS,
  CALM_MS,
  OUTAGE_MS,
);
for (const { service, before, during, after } of outages) {
  const [p99Before, p99During, p99After] = [before, during, after].map((latencies) => quantile(latencies, 0.99)) as [
    number,
    number,
    number,
  ];
  report({
    what: `response time p99 while a store is unavailable: ${service} (bare: before)`,
    ours: p99During,
    bare: p99Before,
    unit: 'ms',
    budget: { kind: '<=', value: 1.5 },
    note: `afterwards ${p99After.toFixed(1)} ms, ${during.length} responses`,
  });
}
report({
  what: 'rows of players that differ from their zones afterwards',
  ours: differences.length,
  bare: null,
  unit: 'rows',
  budget: { kind: '<=', value: 0 },
});
process.exit();
