import { stopEachInTurn } from '../tests/worlds/outages.ts';
import { quantile, report } from './measure.ts';

/* The log, the hot store, the cold store and the database are each away for half a minute while 300 bots play. */

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
  const [calm, away, again] = [before, during, after].map((latencies) => quantile(latencies, 0.99)) as [number, number, number];
  report({
    what: `answers while the ${service} is away against before: p99`,
    ours: away,
    bare: calm,
    unit: 'ms',
    budget: { kind: '<=', value: 1.5 },
    note: `afterwards ${again.toFixed(1)} ms, ${during.length} answers`,
  });
}
report({
  what: 'players’ rows that differ from their zones afterwards',
  ours: differences.length,
  bare: null,
  unit: 'rows',
  budget: { kind: '<=', value: 0 },
});
process.exit();
