import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { type EventBatch, TooLarge } from './batch.ts';
import type { Reply } from './command.ts';
import { MemoryLog, newHost, settled, stateAt, type TestHost, type Turnstile, type TurnstileEvent, turnstile } from './testing/index.ts';

const gate = 'turnstile/gate';
const other = 'turnstile/other';
const ZONES = [gate, other];

/** A log of one shard that takes no event of ten people, and no state with more of them than a limit. */
class NarrowLog extends MemoryLog {
  override areTogether = true;
  statesUpTo = Number.POSITIVE_INFINITY;
  claims = 0;
  /** Batches of all appends. */
  offered: EventBatch[] = [];

  override own(...claim: Parameters<MemoryLog['own']>) {
    this.claims++;
    return super.own(...claim);
  }

  override async append(...[batches, isOwner]: Parameters<MemoryLog['append']>) {
    this.offered.push(...batches);
    for (const batch of batches) {
      const state = (batch.loss?.checkpoint.state ?? { admitted: 0 }) as Turnstile;
      const people = (batch.events as TurnstileEvent[]).map((event) => (event.type === 'Admitted' ? event.people : 0));
      if (state.admitted > this.statesUpTo || people.includes(10)) throw new TooLarge(batch, 10, 9);
    }
    return super.append(batches, isOwner);
  }
}

async function onNarrowLog() {
  const log = new NarrowLog();
  const parts = newHost([turnstile], { log });
  await settled(parts.clock, Promise.all(ZONES.map((zone) => parts.host.open(zone))));
  const replies: { zone: string; reply: Reply }[] = [];
  const send = (zone: string, people: number) =>
    void parts.host.submit(zone, { type: 'Admit', people }, { durable: true }).then((reply) => replies.push({ zone, reply }));
  return { ...parts, log, send, replies };
}

const answers = (replies: readonly { zone: string; reply: Reply }[]) =>
  replies.map(({ zone, reply }) => [zone, reply.ok ? reply.seq : reply.code]);

/** The seqs whose events the log has, and those that a state replaces. */
function seqsOf(batches: readonly EventBatch[], zone: string) {
  const recorded: number[] = [];
  const lost: number[] = [];
  for (const batch of batches.filter((one) => one.zone === zone)) {
    recorded.push(...batch.events.map((_event, index) => batch.firstSeq + index));
    for (let seq = batch.firstSeq; batch.loss && seq <= batch.loss.lastSeq; seq++) lost.push(seq);
  }
  return { recorded, lost };
}

async function expectAsRecorded(parts: TestHost) {
  for (const zone of ZONES) {
    const view = parts.host.view(zone);
    const { state, seq } = await stateAt(parts, turnstile, zone, { time: Number.MAX_SAFE_INTEGER });
    assert.deepEqual({ state, seq }, { state: view?.state, seq: view?.seq });
  }
}

describe('a batch that is too large for the log', () => {
  test('is given up, and a state replaces it; the shard goes on', async () => {
    const parts = await onNarrowLog();
    const { clock, log, send, replies, failures, spools } = parts;
    send(gate, 1);
    await clock.settle();
    send(gate, 10);
    send(other, 1);
    await clock.settle();
    send(gate, 1);
    await clock.advance(1_000);
    assert.deepEqual(seqsOf(log.batches, gate), { recorded: [1, 3], lost: [2] });
    assert.deepEqual(seqsOf(log.batches, other), { recorded: [1], lost: [] });
    assert.deepEqual(
      answers(replies).sort(),
      [
        [gate, 1],
        [gate, 3],
        [gate, 'NOT_RECORDED'],
        [other, 1],
      ].sort(),
    );
    assert.equal(log.claims, 1);
    assert.deepEqual([failures.length, failures[0]?.message.includes('gate at seq 2 has 10 bytes')], [2, true]);
    assert.deepEqual(
      spools.givenUp.map(({ zone, firstSeq }) => [zone, firstSeq]),
      [[gate, 2]],
    );
    await expectAsRecorded(parts);
  });

  test('and whose state is too large as well, is replaced as soon as the state is smaller; other zones go on', async () => {
    const parts = await onNarrowLog();
    const { clock, log, send, replies, host } = parts;
    log.statesUpTo = 5;
    send(gate, 10);
    await clock.advance(1_000);
    log.offered = [];
    send(gate, 1);
    host.send(gate, { type: 'Admit', people: 1 });
    send(other, 1);
    await clock.advance(1_000);
    assert.deepEqual(seqsOf(log.batches, gate), { recorded: [], lost: [] });
    assert.deepEqual(seqsOf(log.batches, other), { recorded: [1], lost: [] });
    assert.deepEqual(answers(replies), [
      [gate, 'NOT_RECORDED'],
      [gate, 'LOG_UNAVAILABLE'],
      [other, 1],
    ]);
    assert.deepEqual([host.records(gate), host.records(other)], [false, true]);
    assert.deepEqual([...new Set(log.offered.map(({ zone }) => zone))], [other]);
    log.statesUpTo = 50;
    await clock.advance(60_000);
    assert.deepEqual(seqsOf(log.batches, gate), { recorded: [], lost: [1, 2] });
    assert.equal(host.records(gate), true);
    assert.equal(log.claims, 1);
    await expectAsRecorded(parts);
  });

  test('law: in any history, the log has each event or a state after it, replies say which, and no other zone loses any', async () => {
    const step = fc.oneof(
      { weight: 6, arbitrary: fc.record({ zone: fc.constantFrom(...ZONES), people: fc.constantFrom(1, 1, 2, 10) }) },
      fc.record({ statesUpTo: fc.constantFrom(5, 1_000) }),
      fc.record({ away: fc.constantFrom('gone', null) }),
      fc.record({ ms: fc.constantFrom(0, 100, 30_000) }),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 40 }), async (steps) => {
        const parts = await onNarrowLog();
        const { clock, log, send, replies } = parts;
        const tooLarge = new Set<string>();
        for (const one of steps) {
          if ('zone' in one) {
            send(one.zone, one.people);
            if (one.people === 10) tooLarge.add(one.zone);
          } else if ('ms' in one) await clock.advance(one.ms);
          else Object.assign(log, one);
        }
        Object.assign(log, { statesUpTo: 1_000, away: null });
        await clock.advance(200_000);
        await expectAsRecorded(parts);
        for (const zone of ZONES) {
          const { recorded, lost } = seqsOf(log.batches, zone);
          if (!tooLarge.has(zone)) assert.deepEqual(lost, []);
          const confirmed = replies.flatMap(({ zone: of, reply }) => (of === zone && reply.ok ? [reply.seq] : []));
          assert.deepEqual(
            confirmed.filter((seq) => !recorded.includes(seq)),
            [],
          );
          const refused = replies.filter(({ zone: of, reply }) => of === zone && !reply.ok && reply.code === 'NOT_RECORDED');
          assert.equal(refused.length, lost.length);
        }
      }),
      { numRuns: 200 },
    );
  });
});
