import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import type { Reply } from './command.ts';
import { defineZone, type RepliesKept } from './definition.ts';
import { HeldLog } from './testing/held-log.ts';
import { newHost, type TestHost } from './testing/index.ts';

type WalletCommand = { readonly type: 'Add'; readonly amount: number } | { readonly type: 'Touch' };
interface Wallet {
  balance: number;
  changes: number;
}

/** A balance that never goes below zero. `Touch` is accepted without an event. */
const wallet = (repliesKept?: RepliesKept) =>
  defineZone<Wallet, WalletCommand, { type: 'Added'; amount: number }>({
    kind: 'wallet',
    version: 1,
    create: () => ({ balance: 0, changes: 0 }),
    decide: ({ balance }, command, { emit, refuse }) => {
      if (command.type === 'Touch') return;
      if (balance + command.amount < 0) refuse('POOR', `there are only ${balance}`);
      else emit({ type: 'Added', amount: command.amount });
    },
    evolve: (state, { amount }) => {
      state.balance += amount;
      state.changes++;
    },
    ...(repliesKept && { repliesKept }),
  });
const ZONE = 'wallet/ann';

const command: fc.Arbitrary<WalletCommand> = fc.oneof(
  { weight: 5, arbitrary: fc.record({ type: fc.constant('Add' as const), amount: fc.integer({ min: -5, max: 5 }) }) },
  { weight: 1, arbitrary: fc.constant({ type: 'Touch' as const }) },
);

/** Model of the wallet, without the kernel: the newest `number` acceptances and refusals are remembered, for `ms`. */
class Model {
  balance = 0;
  changes = 0;
  readonly #kept: { accepted: { id: string; at: number }[]; refused: { id: string; at: number }[] } = { accepted: [], refused: [] };
  readonly #rule: Required<RepliesKept>;

  constructor(rule: Required<RepliesKept>) {
    this.#rule = rule;
  }

  submit(id: string, command: WalletCommand, now: number): 'ok' | 'POOR' {
    if (this.#kept.accepted.some((one) => one.id === id)) return 'ok';
    if (this.#kept.refused.some((one) => one.id === id)) return 'POOR';
    const isPoor = command.type === 'Add' && this.balance + command.amount < 0;
    const list = isPoor ? this.#kept.refused : this.#kept.accepted;
    list.push({ id, at: now });
    while (list.length > this.#rule.number || now - (list[0]?.at ?? now) > this.#rule.ms) list.shift();
    if (!isPoor && command.type === 'Add') {
      this.balance += command.amount;
      this.changes++;
    }
    return isPoor ? 'POOR' : 'ok';
  }
}

const outcomeOf = (reply: Reply) => (reply.ok ? 'ok' : reply.code);

async function submit({ host, clock }: TestHost, command: WalletCommand, meta: object): Promise<Reply> {
  const reply = host.submit(ZONE, command, { ...meta, durable: true });
  await clock.settle();
  return reply;
}

/** A new host on the same record: data in memory is lost. */
async function crashed(definition: ReturnType<typeof wallet>, { log, hot, cold, clock }: TestHost): Promise<TestHost> {
  const next = newHost([definition], { log, hot, cold, clock });
  await next.host.open(ZONE);
  return next;
}

const step = fc.record({
  id: fc.integer({ min: 1, max: 12 }).map((number) => `c${number}`),
  command,
  waitMs: fc.integer({ min: 0, max: 40 }),
  next: fc.constantFrom('nothing', 'nothing', 'crash', 'hot', 'cold'),
});

describe('kept replies', () => {
  test('law: a retry within the limits gets the first reply and has no effect, also after recoveries', () =>
    fc.assert(
      fc.asyncProperty(
        fc.array(step, { maxLength: 60 }),
        fc.record({ number: fc.integer({ min: 1, max: 6 }), ms: fc.constantFrom(50, 1_000_000) }),
        async (steps, rule) => {
          const definition = wallet(rule);
          const model = new Model(rule);
          let parts = newHost([definition]);
          await parts.host.open(ZONE);
          for (const { id, command, waitMs, next } of steps) {
            await parts.clock.advance(waitMs);
            const expected = model.submit(id, command, parts.clock.now());
            assert.equal(outcomeOf(await submit(parts, command, { id })), expected);
            if (next === 'crash') parts = await crashed(definition, parts);
            else if (next !== 'nothing') await parts.host.snapshotAll(next);
          }
          const { balance, changes } = model;
          assert.deepEqual(parts.host.view(ZONE)?.state, { balance, changes });
        },
      ),
      { numRuns: 200 },
    ));

  test('a durable refusal is returned when the log has it, and not before', async () => {
    const log = new HeldLog();
    const { host, clock } = newHost([wallet({ number: 10 })], { log });
    await host.open(ZONE);
    let reply: Reply | null = null;
    void host.submit(ZONE, { type: 'Add', amount: -1 }, { id: 'a', durable: true }).then((given) => {
      reply = given;
    });
    await clock.settle();
    assert.equal(reply, null);
    log.appends[0]?.land();
    await clock.settle();
    assert.deepEqual(reply, { ok: false, code: 'POOR', message: 'there are only 0', seq: 1 });
  });

  test('a durable command calls `onDecided` when it is decided, before the log has it', async () => {
    const log = new HeldLog();
    const { host, clock } = newHost([wallet()], { log });
    await host.open(ZONE);
    const replies: string[] = [];
    const onDecided = (reply: Reply) => replies.push(`decided ${outcomeOf(reply)}`);
    void host
      .submit(ZONE, { type: 'Add', amount: 1 }, { durable: true, onDecided })
      .then((reply) => replies.push(`durable ${outcomeOf(reply)}`));
    await clock.settle();
    assert.deepEqual(replies, ['decided ok']);
    log.appends[0]?.land();
    await clock.settle();
    assert.deepEqual(replies, ['decided ok', 'durable ok']);
    void host.submit('wallet/closed', { type: 'Touch' }, { onDecided });
    assert.equal(replies.at(-1), 'decided ZONE_STOPPED');
  });

  test('a reply is remembered for exactly `ms`', async () => {
    const parts = newHost([wallet({ number: 10, ms: 100 })]);
    await parts.host.open(ZONE);
    const add = { type: 'Add', amount: 1 } as const;
    await submit(parts, add, { id: 'a' });
    await parts.clock.advance(100);
    await submit(parts, add, { id: 'b' });
    assert.equal((await submit(parts, add, { id: 'a' })).ok, true);
    assert.deepEqual(parts.host.view(ZONE)?.state, { balance: 2, changes: 2 });
    await parts.clock.advance(1);
    await submit(parts, add, { id: 'c' });
    await submit(parts, add, { id: 'a' });
    assert.deepEqual(parts.host.view(ZONE)?.state, { balance: 4, changes: 4 });
  });

  test('with repliesKept only replies with an id and without events are recorded', async () => {
    const parts = newHost([wallet({ number: 10 })]);
    await parts.host.open(ZONE);
    await submit(parts, { type: 'Touch' }, {});
    await submit(parts, { type: 'Touch' }, { source: { name: 'other/zone', place: 1 } });
    await submit(parts, { type: 'Add', amount: 1 }, { id: 'add' });
    await submit(parts, { type: 'Touch' }, { id: 'touch' });
    assert.deepEqual(
      parts.log.batches.flatMap(({ events }) => (events as { type: string }[]).map(({ type }) => type)),
      ['Added', '$replied'],
    );
  });

  test('without repliesKept a refusal displaces no acceptance, and leaves nothing in the log', async () => {
    const parts = newHost([wallet()]);
    await parts.host.open(ZONE);
    await submit(parts, { type: 'Add', amount: 1 }, { id: 'first' });
    for (let index = 0; index < 2_000; index++) parts.host.send(ZONE, { type: 'Add', amount: -9 }, { id: `refused${index}` });
    await parts.clock.settle();
    assert.equal(outcomeOf(await submit(parts, { type: 'Add', amount: 1 }, { id: 'first' })), 'ok');
    assert.deepEqual(parts.host.view(ZONE), { state: { balance: 1, changes: 1 }, seq: 1, epoch: 1 });
  });
});

describe('commands of a source', () => {
  test('law: each place has one effect, however often and from whichever place its source starts again', () =>
    fc.assert(
      fc.asyncProperty(
        fc.array(fc.integer({ min: 0, max: 5 }), { minLength: 1, maxLength: 80 }),
        fc.array(fc.record({ upTo: fc.nat(80), from: fc.nat(80), crash: fc.boolean(), snapshot: fc.constantFrom('hot', 'cold', null) }), {
          maxLength: 6,
        }),
        async (amounts, deliveries) => {
          const definition = wallet();
          let parts = newHost([definition]);
          await parts.host.open(ZONE);
          const deliver = async (from: number, upTo: number) => {
            for (let index = from; index < Math.min(upTo, amounts.length); index++) {
              const command = { type: 'Add', amount: amounts[index] as number } as const;
              const reply = await submit(parts, command, { source: { name: 'other/zone', place: index + 1 } });
              assert.equal(outcomeOf(reply), 'ok');
            }
          };
          let reached = 0;
          for (const { upTo, from, crash, snapshot } of deliveries) {
            // A source never skips places: it starts again at its last place, or before.
            await deliver(Math.min(from, reached), upTo);
            reached = Math.max(reached, Math.min(upTo, amounts.length));
            if (snapshot) await parts.host.snapshotAll(snapshot);
            if (crash) parts = await crashed(definition, parts);
          }
          await deliver(0, amounts.length);
          assert.deepEqual(parts.host.view(ZONE)?.state, {
            balance: amounts.reduce((sum, amount) => sum + amount, 0),
            changes: amounts.length,
          });
        },
      ),
      { numRuns: 200 },
    ));

  test('places of different sources are independent, and a command without a reply counts as well', async () => {
    const parts = newHost([wallet()]);
    await parts.host.open(ZONE);
    const add = { type: 'Add', amount: 1 } as const;
    for (const name of ['a', 'b', 'a']) parts.host.send(ZONE, add, { source: { name, place: 1 } });
    await parts.clock.settle();
    assert.deepEqual(parts.host.view(ZONE)?.state, { balance: 2, changes: 2 });
  });
});
