import { parseArgs } from 'node:util';
import { fuzzGraphQlServer, fuzzServer, schemathesisServer } from './running.ts';

/*
 * Fuzzes a server: npm run fuzz -- --seconds 300 --seed 7
 * With --schemathesis, that program sends the requests, and also compares the responses with the OpenAPI document.
 * With --graphql, sends GraphQL documents over HTTP, server-sent events and WebSocket.
 */

const { values } = parseArgs({
  options: {
    seconds: { type: 'string', default: '300' },
    seed: { type: 'string', default: String(Date.now() % 1_000_000) },
    schemathesis: { type: 'boolean', default: false },
    graphql: { type: 'boolean', default: false },
  },
});
const [seconds, seed] = [Number(values.seconds), Number(values.seed)];
const { failures, isFine } = values.schemathesis ? await withSchemathesis() : values.graphql ? await withGraphQl() : await withOurs();
for (const line of failures.slice(0, 20)) console.log(`LOGGED ${line.slice(0, 600)}`);
process.exitCode = isFine && failures.length === 0 ? 0 : 1;

async function withOurs(): Promise<{ failures: readonly string[]; isFine: boolean }> {
  const { requests, operations, statuses, findings, failures } = await fuzzServer({ milliseconds: seconds * 1_000 }, seed);
  console.log(`${requests} requests to ${operations} operations in ${seconds} s (seed ${seed}); answers: ${JSON.stringify(statuses)}`);
  for (const finding of findings) console.log(`FOUND ${finding}`);
  return { failures, isFine: findings.length === 0 };
}

async function withGraphQl(): Promise<{ failures: readonly string[]; isFine: boolean }> {
  const { requests, answers, slowestMs, findings, failures } = await fuzzGraphQlServer(seconds * 1_000, seed);
  console.log(
    `${requests} GraphQL requests in ${seconds} s (seed ${seed}); slowest ${Math.round(slowestMs)} ms; answers: ${JSON.stringify(answers)}`,
  );
  for (const finding of findings) console.log(`FOUND ${finding}`);
  return { failures, isFine: findings.length === 0 };
}

async function withSchemathesis(): Promise<{ failures: readonly string[]; isFine: boolean }> {
  const { failures, passed } = await schemathesisServer(seconds, seed);
  return { failures, isFine: passed };
}
