import { createHash } from 'node:crypto';
import { folderOf } from './database.ts';

/*
 * With `npm test -- --kafka`, the log of every server under test is in a real Kafka, with topics of its own for each data folder, so that a restarted
 * server finds its events.
 */

/** Brokers of the Kafka that `npm test -- --kafka` started, as JSON; undefined for embedded logs. */
const BROKERS = process.env.TEST_KAFKA;

/** Whether the logs of servers under test are in Kafka. */
export const IS_ON_KAFKA = BROKERS !== undefined;

/** Environment variables that select the log of a server with these arguments. */
export function logOf(cwd: string, args: readonly string[]): Record<string, string> {
  if (BROKERS === undefined) return {};
  const name = createHash('sha256').update(folderOf(cwd, args)).digest('hex').slice(0, 24);
  return {
    MILLRACE_LOG__ENGINE: 'kafka',
    MILLRACE_LOG__BROKERS: BROKERS,
    MILLRACE_LOG__TOPIC_PREFIX: `t-${name}.`,
    MILLRACE_LOG__SHARDS: '4',
  };
}
