import { parseArgs } from 'node:util';
import { fuzzServer } from './running.ts';

/*
 * Fuzzes a server for as long as one likes: npm run fuzz -- --seconds 300 --seed 7
 */

const { values } = parseArgs({
  options: { seconds: { type: 'string', default: '300' }, seed: { type: 'string', default: String(Date.now() % 1_000_000) } },
});
const { requests, operations, statuses, findings, errors } = await fuzzServer(Number(values.seconds) * 1_000, Number(values.seed));
console.log(
  `${requests} requests to ${operations} operations in ${values.seconds} s (seed ${values.seed}); answers: ${JSON.stringify(statuses)}`,
);
for (const finding of findings) console.log(`FOUND ${finding}`);
const failures = errors.split('\n').filter((line) => /"level":"(error|fatal)"/.test(line) && !line.includes('"an alert"'));
for (const line of failures.slice(0, 20)) console.log(`LOGGED ${line.slice(0, 600)}`);
process.exitCode = findings.length + failures.length > 0 ? 1 : 0;
