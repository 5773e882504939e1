import assert from 'node:assert/strict';
import { describe, type TestContext, test } from 'node:test';
import { type Gap, type InstrumentCommand, type InstrumentZones, instrumentId, type Trade } from '@millrace/contracts';
import type { SourceParts } from './source.ts';
import { type Change, START, supervised } from './testing/supervised.ts';

describe('a zone that accepts no commands', () => {
  const [A, B] = [instrumentId('v', 'A-X'), instrumentId('v', 'B-X')];

  test('does not stop the other instruments of its source, and its commands do not pile up', async (context) => {
    const { clock, supervisor, refusing, newest, commands, connections } = supervised();
    context.after(() => supervisor.stop());
    refusing.add(A);
    supervisor.start();
    newest().events.opened();
    for (let number = 1; number <= 100; number++) {
      for (const symbol of ['A', 'B']) newest().trade(symbol, number);
      await clock.advance(1_000);
    }
    assert.equal(connections.length, 1, 'a source that was paused is not silent');
    assert.ok(commands('B', 'RecordTrade').length >= 97, `B has ${commands('B', 'RecordTrade').length} trades`);
    assert.equal(supervisor.waitingCommands, 0);
    assert.equal(supervisor.describe().faults['zone-unreachable'], 1);
  });

  test('continues from its last recorded trade when it accepts commands again: what was lost is a gap', async (context) => {
    const lastTrade: Trade = { id: '7', order: 7, time: START - 60_000, price: '1', quantity: '1', side: 'buy' };
    let isOpen = false;
    const { clock, supervisor, refusing, newest, sent, commands } = supervised({
      market: { lastTrade: (id) => (id === A && isOpen ? lastTrade : null) },
    });
    context.after(() => supervisor.stop());
    refusing.add(A);
    supervisor.start();
    newest().events.opened();
    newest().trade('A', 8);
    await clock.advance(10_000);
    newest().trade('A', 9);
    refusing.delete(A);
    isOpen = true;
    await clock.advance(1_000);
    newest().trade('A', 10);
    newest().trade('A', 11);
    await clock.advance(1_000);
    assert.equal(sent.find(({ instrument }) => instrument === A)?.command.type, 'MarkLive', 'the state of the source comes first');
    const [gap, ...others] = commands('A', 'RecordGap').map(({ command }) => (command as InstrumentCommand & { type: 'RecordGap' }).gap);
    assert.deepEqual([gap?.afterId, gap?.beforeId, others], ['7', '10', []]);
    assert.match(gap?.reason ?? '', /accepted no data; \d+ updates were dropped/);
    assert.equal(commands('A', 'RecordTrade').length, 2);
  });

  test('pauses each new connection while its commands wait, and no connection when they do not', async (context) => {
    const { clock, supervisor, refusing, newest, commands } = supervised({ parts: { leavesGaps: false } });
    context.after(() => supervisor.stop());
    refusing.add(A);
    supervisor.start();
    newest().events.opened();
    await clock.advance(60_000);
    assert.ok(newest().isPaused, 'a source that loses nothing by waiting waits');
    newest().events.closed('lost');
    await clock.advance(1_000);
    newest().events.opened();
    assert.ok(newest().isPaused);
    refusing.delete(A);
    await clock.advance(1_000);
    assert.ok(!newest().isPaused);
    newest().trade('B', 1);
    newest().trade('A', 1);
    assert.deepEqual([commands('A', 'RecordTrade').length, commands('B', 'RecordTrade').length], [1, 1]);
    refusing.add(B);
    newest().trade('B', 2);
    assert.ok(newest().isPaused);
    refusing.delete(B);
    await clock.advance(10);
    assert.ok(!newest().isPaused);
    assert.equal(commands('B', 'RecordTrade').length, 2);
  });
});

describe('a zone whose record cannot be read', () => {
  const tradeOf = (order: number): Trade => ({ id: `${order}`, order, time: START + order, price: '1', quantity: '1', side: 'buy' });

  /** The instrument A of a venue that numbers its trades. The zone has recorded the trades up to 5. */
  function numbered(context: TestContext, change: Change = {}, record: ReturnType<InstrumentZones['recordOf']> = 'settled') {
    const zone = { record, gaps: [] as Gap[] };
    const source = supervised({
      symbols: ['A'],
      market: {
        recordOf: () => zone.record,
        lastTrade: () => (zone.record === 'closed' ? null : tradeOf(5)),
        gapsOf: () => (zone.record === 'closed' ? [] : zone.gaps),
        ...change.market,
      },
      parts: {
        protocol: { connected: () => [], read: (frame, sink) => void sink.trade('A', tradeOf(JSON.parse(frame).number), true) },
        ...change.parts,
      },
    });
    context.after(() => source.supervisor.stop());
    const recorded = () =>
      source.sent.flatMap(({ command }): (string | number)[] =>
        command.type === 'RecordGap'
          ? [`${command.gap.afterId}..${command.gap.beforeId}`]
          : command.type === 'RecordTrade'
            ? [command.trade.order]
            : [],
      );
    return { ...source, zone, recorded };
  }
  const A = instrumentId('v', 'A-X');

  test('when its source starts, and opens soon after: what happened meanwhile is a gap after its last trade', async (context) => {
    const { clock, supervisor, newest, refusing, zone, recorded } = numbered(context, {}, 'closed');
    refusing.add(A);
    supervisor.start();
    newest().events.opened();
    newest().trade('A', 8);
    refusing.delete(A);
    zone.record = 'settled';
    await clock.advance(1_000);
    for (const number of [9, 10]) newest().trade('A', number);
    await clock.advance(1_000);
    assert.deepEqual(recorded(), ['5..9', 9, 10]);
  });

  test('because it is being rebuilt, or has commands to decide: it is not continued before that, although it accepts commands', async (context) => {
    const { clock, supervisor, newest, refusing, zone, recorded, sent } = numbered(context);
    supervisor.start();
    newest().events.opened();
    refusing.add(A);
    newest().trade('A', 6);
    await clock.advance(3_000);
    refusing.delete(A);
    sent.length = 0;
    for (const record of ['closed', 'deciding'] as const) {
      zone.record = record;
      newest().trade('A', 7);
      await clock.advance(5_000);
      assert.deepEqual(sent, []);
    }
    zone.record = 'settled';
    await clock.advance(1_000);
    for (const number of [8, 9]) newest().trade('A', number);
    await clock.advance(1_000);
    assert.deepEqual(recorded(), ['5..8', 8, 9]);
  });

  test('after all of its trades were withdrawn: the gap does not begin with them', async (context) => {
    const { clock, supervisor, newest, refusing, sent } = numbered(context, { market: { lastTrade: () => null } });
    supervisor.start();
    newest().events.opened();
    newest().trade('A', 50_000);
    supervisor.withdraw(A, START + 10_000, null);
    refusing.add(A);
    newest().trade('A', 6_000);
    await clock.advance(3_000);
    refusing.delete(A);
    await clock.advance(1_000);
    newest().trade('A', 7_000);
    await clock.advance(1_000);
    const gap = sent.find(({ command }) => command.type === 'RecordGap')?.command as
      | (InstrumentCommand & { type: 'RecordGap' })
      | undefined;
    assert.deepEqual([gap?.gap.from, gap?.gap.to], [START + 6_000, START + 7_000]);
  });

  test('again and again: the history is not read more often for it', async (context) => {
    let reads = 0;
    const history: SourceParts['history'] = {
      // biome-ignore lint/correctness/useYield: it cannot be read.
      async *trades() {
        reads++;
        throw new Error('503');
      },
    };
    const { clock, supervisor, newest, refusing, zone } = numbered(context, { parts: { history } });
    zone.gaps = [{ from: START, to: START, afterId: '1', beforeId: '5', missing: 3, reason: '' }];
    supervisor.start();
    newest().events.opened();
    for (let outages = 0; outages < 5; outages++) {
      refusing.add(A);
      newest().trade('A', 6);
      await clock.advance(3_000);
      refusing.delete(A);
      await clock.advance(1_000);
    }
    reads = 0;
    await clock.advance(6 * 3_600_000);
    assert.ok(reads > 0 && reads <= 20, `${reads} reads for one gap`);
  });
});
