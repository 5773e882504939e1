import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ReadRange } from '@millrace/base/offsets';
import type { EventBatch, Reply, ZoneHost } from '@millrace/kernel';
import { newHost, type Turnstile, turnstile } from '@millrace/kernel/testing';
import { CannotApply } from './projection.ts';
import { reactorProjection } from './reactor-projection.ts';

const entered = (seq: number, people: number): EventBatch => ({
  zone: 'turnstile/gate',
  epoch: 1,
  firstSeq: seq,
  version: 1,
  time: 1,
  events: [{ type: 'Admitted', people } as { type: string }],
  metas: null,
});

/** Each player who passes the gate enters the hall. */
const usher = {
  name: 'usher',
  wants: () => true,
  async *react(event: { type: string; people?: number }) {
    yield { to: 'turnstile/hall', command: { type: 'Admit', people: event.people } };
  },
};

/** A hall on a real host, behind a host that first returns the `replies`. */
function hall(replies: Reply[] = [], wasDead = (_seq: number) => false) {
  const parts = newHost([turnstile]);
  const saved: ReadRange[] = [];
  let submitted = 0;
  const host: Pick<ZoneHost, 'open' | 'submit' | 'records'> = {
    open: (zone) => parts.host.open(zone),
    records: (zone) => parts.host.records(zone),
    submit: async (zone, command, options) => {
      const reply = replies.shift();
      if (reply) return reply;
      submitted++;
      const pending = parts.host.submit(zone, command, options);
      await parts.clock.settle();
      return pending;
    },
  };
  const refusals: string[] = [];
  const projection = reactorProjection({
    reactor: usher,
    host,
    offsets: async () => new Map(),
    wasDead: async (_zone, seq) => wasDead(seq),
    saveOffsets: async (read) => void saved.push(...read),
    onRefused: (_to, { code }) => refusals.push(code),
  });
  const people = () => (parts.host.view('turnstile/hall')?.state as Turnstile).admitted;
  return { ...parts, projection, saved, people, refusals, submitted: () => submitted };
}

for (const code of ['BUSY', 'ZONE_STOPPED', 'LOG_UNAVAILABLE', 'OUTCOME_UNKNOWN'])
  test(`fault 15: a command with the reply ${code} is sent again, and the offset waits for it`, async () => {
    const { projection, saved, people } = hall([{ ok: false, code, message: '' }]);
    const read = [{ partition: 0, from: 0, next: 1 }];
    await assert.rejects(projection.apply([entered(1, 4)], read), new RegExp(code));
    assert.deepEqual(saved, []);
    await projection.apply([entered(1, 4)], read);
    assert.deepEqual(saved, read);
    assert.equal(people(), 4);
  });

test('fault 15: an event that is delivered again has one effect', async () => {
  const { projection, people } = hall();
  for (let times = 0; times < 3; times++) await projection.apply([entered(1, 4), entered(2, 5)], []);
  assert.equal(people(), 9);
});

test('fault 15: a command that a rule of its zone refuses is done, and reported', async () => {
  const { projection, saved, refusals } = hall();
  await projection.apply([entered(1, 400)], [{ partition: 0, from: 0, next: 1 }]);
  assert.deepEqual(refusals, ['FULL']);
  assert.equal(saved.length, 1);
});

test('fault 15: an event whose command makes its zone fail becomes a dead letter', async () => {
  const { projection, saved } = hall([{ ok: false, code: 'ZONE_FAILED', message: 'broken' }]);
  const batch = entered(1, 4);
  await assert.rejects(projection.apply([batch], []), (error) => error instanceof CannotApply && error.batch === batch);
  assert.deepEqual(saved, []);
});

test('an event that became a dead letter is not delivered again with the others, also after it was replayed', async () => {
  const { projection, people } = hall([], (seq) => seq === 1);
  await projection.apply([entered(1, 4), entered(2, 5)], []);
  assert.equal(people(), 5);
  for (let times = 0; times < 2; times++) await projection.apply([entered(1, 4)], [], 0);
  assert.equal(people(), 9);
});

test('while the log is unavailable, no command is sent that would wait for it', async () => {
  const { projection, people, submitted, log, host, clock } = hall();
  await projection.apply([entered(1, 4)], []);
  log.away = 'gone';
  host.send('turnstile/hall', { type: 'Admit', people: 1 });
  await clock.settle();
  for (let attempt = 0; attempt < 3; attempt++)
    await assert.rejects(projection.apply([entered(2, 5)], []), /the log of turnstile\/hall is unavailable/);
  assert.deepEqual([submitted(), host.stats().durableWaiting], [1, 0]);
  log.away = null;
  await clock.advance(10_000);
  await projection.apply([entered(2, 5)], []);
  assert.equal(people(), 10);
});
