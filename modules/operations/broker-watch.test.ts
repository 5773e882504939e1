import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { LogStats } from '@millrace/log';
import { BrokerWatch } from './broker-watch.ts';

const replica = (shard: number, inSync = 3, isLed = true) => ({ shard, isLed, replicas: 3, inSync });

type Brokers = Omit<NonNullable<LogStats['brokers']>, 'topicId' | 'sizeFailure'> & { readonly sizeFailure?: string };

function watching(brokers: Brokers | null) {
  const stats: LogStats = { partitions: [], bytes: 0, ...(brokers && { brokers: { topicId: 'a', sizeFailure: null, ...brokers } }) };
  return new BrokerWatch({ topics: () => [{ name: 'market', log: { stats: () => stats } }], rules: { unrecordedForMs: 5_000 } });
}
const found = (brokers: Brokers) => {
  const watch = watching(brokers);
  const [check] = watch.checks();
  return {
    alerts: [...watch.conditions()].map(({ id, severity, value, forMs }) => [id, severity, value, forMs]),
    check: () => check?.check(),
  };
};

test('an embedded log has no brokers to check', () => {
  assert.deepEqual([watching(null).checks(), [...watching(null).conditions()]], [[], []]);
});

test('brokers that do not respond, shards without a leader and missing replicas are shown, with the remedy', () => {
  const sound = found({ failure: null, replicas: [replica(0), replica(1)] });
  assert.deepEqual(sound.alerts, []);
  assert.doesNotThrow(sound.check);
  const behind = found({ failure: null, replicas: [replica(0, 2), replica(1)] });
  assert.deepEqual(behind.alerts, [['under-replicated/market', 'warning', 1, 5_000]]);
  assert.throws(behind.check, /1 of 2 shards of the log of market have fewer in-sync replicas/);
  const leaderless = found({ failure: null, replicas: [replica(0, 1, false), replica(1)] });
  assert.deepEqual(leaderless.alerts, [
    ['log-unavailable/market', 'critical', 1, 5_000],
    ['under-replicated/market', 'warning', 1, 5_000],
  ]);
  assert.throws(leaderless.check, /1 of 2 shards of the log of market have no leader/);
  const silent = found({ failure: 'connect ECONNREFUSED', replicas: [replica(0), replica(1)] });
  assert.deepEqual(silent.alerts, [['log-unavailable/market', 'critical', 1, 5_000]]);
  assert.throws(silent.check, /do not respond: connect ECONNREFUSED/);
});

test('brokers that do not tell the size of the log are shown, with the remedy, and raise no alert', () => {
  const { alerts, check } = found({ failure: null, sizeFailure: 'CLUSTER_AUTHORIZATION_FAILED', replicas: [replica(0)] });
  assert.deepEqual(alerts, []);
  assert.throws(check, /do not tell the size of the log of market: CLUSTER_AUTHORIZATION_FAILED\. Allow .* to Describe the cluster/);
});
