import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { IndexedTopic, OWNERS, ZONES } from './indexed-topic.ts';

const zone = fc.constantFrom(...ZONES);
const process = fc.nat(OWNERS - 1);
const counts = fc.array(fc.integer({ min: 1, max: 3 }), { minLength: 1, maxLength: 4 });

const step = fc.oneof(
  { weight: 8, arbitrary: fc.record({ append: zone, counts }) },
  { weight: 2, arbitrary: fc.record({ claim: process }) },
  { weight: 2, arbitrary: fc.record({ zombie: zone, counts }) },
  { weight: 2, arbitrary: fc.record({ consume: fc.nat(OWNERS) }) },
  {
    weight: 3,
    arbitrary: fc.record({
      read: zone,
      by: fc.constantFrom('owner' as const, 'reader' as const),
      afterSeq: fc.nat(12),
      from: fc.option(fc.nat()),
    }),
  },
  fc.record({ retain: process }),
  { weight: 2, arbitrary: fc.record({ ms: fc.constantFrom(500, 2_500) }) },
  { weight: 2, arbitrary: fc.record({ write: process }) },
  { weight: 2, arbitrary: fc.record({ failing: process }) },
  { weight: 2, arbitrary: fc.record({ restart: fc.constantFrom('as it is', 'without index', 'with copy', 'copy') }) },
);
type Step = typeof step extends fc.Arbitrary<infer T> ? T : never;

async function done(topic: IndexedTopic, one: Step): Promise<void> {
  if ('append' in one) await topic.append(one.append, one.counts);
  else if ('claim' in one) await topic.claim(one.claim);
  else if ('zombie' in one) await topic.appendAsZombie(one.zombie, one.counts);
  else if ('consume' in one) await topic.consume(one.consume).catch(() => {});
  else if ('retain' in one) await topic.retain(one.retain).catch(() => {});
  else if ('ms' in one) await topic.passed(one.ms);
  else if ('write' in one) await topic.process(one.write).index.written();
  else if ('failing' in one) {
    const { failing } = topic.process(one.failing);
    failing.isOn = !failing.isOn;
  } else if ('restart' in one) await restarted(topic, one.restart);
  else {
    const position = one.from === null ? null : (topic.positions[one.from % Math.max(1, topic.positions.length)] ?? null);
    topic.kafka.setFaults({ lostResponses: 0 });
    await topic.requireSameRead(one.by, one.read, topic.seqBefore(one.read, position) + one.afterSeq, position);
  }
}

async function restarted(topic: IndexedTopic, how: string): Promise<void> {
  await topic.stop();
  if (how === 'copy') topic.keepCopy();
  if (how === 'without index') topic.deleteIndex();
  if (how === 'with copy') topic.putCopyBack();
  await topic.open();
}

describe('the index of the zones of a shard', () => {
  test('law: whatever part of it exists, each read gives what the valid records of its zone are', () =>
    fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 30 }), fc.constantFrom(0, 0.05), async (steps, lostResponses) => {
        const topic = new IndexedTopic();
        // Brokers without producer state take the records of a zombie.
        topic.kafka.setFaults({ producerExpiryMs: 1 });
        await topic.open();
        topic.keepCopy();
        try {
          for (const one of steps) {
            topic.kafka.setFaults({ lostResponses });
            await done(topic, one);
          }
          topic.kafka.setFaults({ lostResponses: 0 });
          await topic.requireSound();
        } finally {
          await topic.close();
        }
      }),
      { numRuns: 60 },
    ));

  test('is deleted when the topic is another one', async () => {
    const topic = new IndexedTopic();
    await topic.open();
    try {
      await topic.append('zone/a', [1, 1, 1]);
      await topic.process(0).index.written();
      assert.notEqual((await topic.store.find(0, 'zone/a', 1)).place, null);
      await topic.stop();
      topic.topicId = 'topic-2';
      await topic.open();
      assert.deepEqual(await topic.store.find(0, 'zone/a', 1), { place: null, newest: null, ranges: [] });
    } finally {
      await topic.close();
    }
  });

  test('is deleted when the log does not have its records, although the topic has the same id', async () => {
    const topic = new IndexedTopic();
    await topic.open();
    try {
      await topic.append('zone/a', [1, 1, 1, 1]);
      await topic.stop();
      topic.replaceLog();
      await topic.open();
      for (const one of ZONES) await topic.append(one, [1, 1]);
      // The index has no batch of the first of them, so without a check all records would be skipped.
      for (const one of [...ZONES].reverse()) await topic.requireSameRead('reader', one, 0, null);
      assert.ok(topic.process(2).index.refused > 0);
    } finally {
      await topic.close();
    }
  });
});
