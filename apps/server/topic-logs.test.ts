import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, beforeEach, test } from 'node:test';
import { UserError } from '@millrace/base/user-error';
import { TopicLost, TopicUnsafe } from '@millrace/kafka';
import type { KafkaTopicLog } from '@millrace/topics';
import { writeMoveState } from './move/move-state.ts';
import { asUserError, noteInKafka, requireEngine } from './topic-logs.ts';

const LOG: KafkaTopicLog = {
  engine: 'kafka',
  connection: { brokers: ['b:9092'], clientId: 'test' },
  topic: 'p.market',
  shards: 8,
  replicas: 3,
};
const LMDB = { engine: 'lmdb' } as const;
const folder = mkdtempSync(join(tmpdir(), 'millrace-topic-logs-'));
after(() => rmSync(folder, { recursive: true, force: true }));
beforeEach(() => {
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder);
});
const begin = (log: KafkaTopicLog | typeof LMDB) => requireEngine('market', { folder, log });

test('a folder whose log is in Kafka is refused with LMDB and with another topic; the name is stored for this user only', () => {
  noteInKafka(folder, 'p.market', 'id');
  begin(LOG);
  assert.throws(() => begin(LMDB), { message: /log\.engine is "lmdb"/ });
  assert.throws(() => begin({ ...LOG, topic: 'q.market' }), { message: /names "q\.market"/, remedy: /topicPrefix back/ });
  assert.deepEqual(readdirSync(folder), ['log-in-kafka']);
  assert.equal(statSync(join(folder, 'log-in-kafka')).mode & 0o777, 0o600);
  assert.equal(readFileSync(join(folder, 'log-in-kafka'), 'utf8'), 'p.market\nid\n');
});

test('an empty file of the name is refused with the remedy, on both engines', () => {
  writeFileSync(join(folder, 'log-in-kafka'), '');
  for (const log of [LOG, LMDB]) assert.throws(() => begin(log), { message: /log-in-kafka is empty/, remedy: /Restore it from a backup/ });
});

test('a log in LMDB is refused with Kafka; once a move has its plan, both engines are, without the log, too', () => {
  mkdirSync(join(folder, 'log'));
  writeFileSync(join(folder, 'log', 'data.mdb'), '');
  begin(LMDB);
  assert.throws(() => begin(LOG), { message: /is in files of the engine "lmdb"/, remedy: /set log\.engine to "lmdb"/ });
  const state = { topic: 'p.market', topicId: 'id', shards: 8, starts: [0, 0, 0, 0] };
  writeMoveState(folder, state);
  begin(LMDB);
  writeMoveState(folder, { ...state, plan: { groups: [], deadEvents: [] } });
  rmSync(join(folder, 'log'), { recursive: true });
  for (const log of [LOG, LMDB]) assert.throws(() => begin(log), { message: /was interrupted/, remedy: /migrate --to kafka/ });
});

test('each error that an operator can correct names its remedy', () => {
  const remedyOf = (error: unknown) => {
    const found = asUserError('market', LOG, error);
    assert.ok(found instanceof UserError);
    return found.remedy;
  };
  assert.match(remedyOf(Object.assign(new Error('write'), { code: 'ENOSPC' })), /Free space/);
  assert.match(remedyOf(new Error('IO Error: No space left on device')), /Free space/);
  assert.match(remedyOf(new TopicLost('p.market', true)), /restore the data folder and the database from one backup/);
  assert.match(remedyOf(new TopicUnsafe('p.market', ['a problem'])), /another log\.topicPrefix/);
  const other = new Error('a bug');
  assert.equal(asUserError('market', LOG, other), other);
});
