import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import type { Reply } from './command.ts';
import { beating, MemoryLog, newHost, settled, type Turnstile, turnstile } from './testing/index.ts';

const GATES = ['turnstile/a', 'turnstile/b'];
const [GATE = ''] = GATES;
const wide = { ...turnstile, create: () => ({ ...turnstile.create(''), capacity: 1e9 }) };
const admit = (people = 1) => ({ type: 'Admit', people }) as const;
const STOP = { whenIsolated: 'stop' } as const;

async function opened(log = new MemoryLog(), options: object = STOP) {
  const parts = newHost([wide, beating], { log, options });
  await settled(parts.clock, Promise.all(GATES.map((gate) => parts.host.open(gate))));
  const admitted = (gate = GATE) => (parts.host.view(gate)?.state as Turnstile).admitted;
  return { ...parts, admitted };
}

describe('zones that stop while their log is unavailable', () => {
  test('refuse commands from then on, those that wait included, and go on when it is back', async () => {
    const { host, clock, log, admitted } = await opened();
    assert.ok((await settled(clock, host.submit(GATE, admit(3)))).ok);
    log.away = 'the log is gone';
    // Decided before the outage is noticed: its event waits on the spool.
    const before = host.submit(GATE, admit(5), { durable: true });
    await clock.settle();
    const refused = await settled(clock, host.submit(GATE, admit(7)));
    assert.ok(!refused.ok && refused.code === 'LOG_UNAVAILABLE', JSON.stringify(refused));
    assert.match(refused.message, /not decided.*Retry/);
    assert.equal(host.send(GATE, admit(7)), false);
    assert.equal(admitted(), 8, 'its state can be read');
    log.away = null;
    await clock.advance(3_000);
    assert.ok((await before).ok);
    assert.ok((await settled(clock, host.submit(GATE, admit(11), { durable: true }))).ok);
    assert.equal(admitted(), 19);
  });

  test('refuse what waits in the mailbox when the outage is noticed', async () => {
    const { host, clock, log, admitted } = await opened(undefined, { ...STOP, turnCommandsMax: 1 });
    log.away = 'the log is gone';
    const replies = await settled(clock, Promise.all([1, 10, 100, 1_000].map((people) => host.submit(GATE, admit(people)))));
    assert.deepEqual(
      replies.map((reply) => (reply.ok ? 'decided' : reply.code)),
      ['decided', ...Array(3).fill('LOG_UNAVAILABLE')],
    );
    assert.equal(admitted(), 1);
  });

  test('leave ticks out', async () => {
    const { host, clock, log } = await opened();
    await settled(clock, host.open('beating/a'));
    const ticks = () => (host.view('beating/a')?.state as Turnstile).ticks.length;
    await clock.advance(1_000);
    log.away = 'the log is gone';
    await clock.advance(200);
    const [before, seq] = [ticks(), host.view('beating/a')?.seq];
    await clock.advance(2_000);
    assert.deepEqual([ticks(), host.view('beating/a')?.seq], [before, seq]);
    log.away = null;
    await clock.advance(8_000);
    assert.ok(ticks() > before);
  });

  test('without the option they decide on', async () => {
    const { host, clock, log, admitted } = await opened(undefined, {});
    log.away = 'the log is gone';
    await settled(clock, host.submit(GATE, admit(5)));
    assert.ok((await settled(clock, host.submit(GATE, admit(7)))).ok);
    assert.equal(admitted(), 12);
  });

  test('law: nothing is decided while events do not go straight to the log; a refused command has no effect, and an accepted one is in the log', async () => {
    const step = fc.oneof(
      {
        weight: 6,
        arbitrary: fc.record({ gate: fc.constantFrom(...GATES), people: fc.integer({ min: 1, max: 9 }), durable: fc.boolean() }),
      },
      { weight: 1, arbitrary: fc.record({ away: fc.constantFrom('the log is gone', null) }) },
      { weight: 2, arbitrary: fc.record({ ms: fc.constantFrom(1, 100, 6_000) }) },
    );
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 40 }), async (steps) => {
        const { host, clock, log, admitted } = await opened();
        const sent: { gate: string; people: number; reply: Promise<Reply> }[] = [];
        for (const one of steps) {
          const before = GATES.map((gate) => ({ gate, seq: host.view(gate)?.seq, records: host.records(gate) }));
          if ('gate' in one) {
            const { gate, people, durable } = one;
            sent.push({ gate, people, reply: host.submit(gate, admit(people), { durable }) });
            await clock.settle();
            for (const { gate: each, seq, records } of before)
              if (!records && !host.records(each)) assert.equal(host.view(each)?.seq, seq, each);
          } else if ('away' in one) log.away = one.away;
          else await clock.advance(one.ms);
        }
        log.away = null;
        await clock.advance(20_000);
        await settled(clock, host.recorded());
        const replies = await settled(clock, Promise.all(sent.map(async ({ reply, ...command }) => ({ ...command, reply: await reply }))));
        for (const gate of GATES) {
          const accepted = replies.filter((one) => one.gate === gate && one.reply.ok).reduce((sum, { people }) => sum + people, 0);
          assert.equal(admitted(gate), accepted, gate);
          const logged = log.batches.filter(({ zone }) => zone === gate).flatMap(({ events }) => events as unknown as { people: number }[]);
          assert.equal(
            logged.reduce((sum, { people }) => sum + people, 0),
            accepted,
            gate,
          );
        }
        for (const { reply } of replies) assert.ok(reply.ok || reply.code === 'LOG_UNAVAILABLE', JSON.stringify(reply));
      }),
      { numRuns: 200 },
    );
  });
});
