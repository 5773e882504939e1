import { parseArgs } from 'node:util';
import { FAULTS, type Fault, runChaos } from './run.ts';

/* npm run chaos -- --runs 10 [--seed n] [--players 200] [--seconds 30] [--faults kill-host,edit]: injects faults while players play, and compares all records. */

const { values } = parseArgs({
  options: {
    runs: { type: 'string', default: '1' },
    seed: { type: 'string', default: '1' },
    players: { type: 'string', default: '200' },
    seconds: { type: 'string', default: '25' },
    faults: { type: 'string', default: FAULTS.join(',') },
    keep: { type: 'boolean', default: false },
  },
});
let [commands, wrong] = [0, 0];
for (let run = 0; run < Number(values.runs); run++) {
  const seed = Number(values.seed) + run;
  const faults = values.faults.split(',') as Fault[];
  const report = await runChaos({ seed, players: Number(values.players), seconds: Number(values.seconds), faults, keep: values.keep });
  commands += report.commands;
  wrong += report.differences.length;
  for (const difference of report.differences) process.stdout.write(`  ${difference}\n`);
  const { accepted, answered, differences } = report;
  process.stdout.write(
    `seed ${seed}: ${report.commands} commands, ${answered} answered, ${accepted} accepted, ${differences.length} differences; ${report.faults.join(', ')}\n`,
  );
}
process.stdout.write(`${commands} commands: ${wrong} differences\n`);
process.exitCode = wrong > 0 ? 1 : 0;
