import { settingsOf } from '@millrace/config';
import { ApiProblem } from '@millrace/http';
import { keyOf, kindOf, zoneAddress } from '@millrace/kernel';
import type { Projection } from '@millrace/log';
import { defineModule } from '@millrace/module';
import { zoneKind } from '@millrace/topics';
import { counterContract } from './contract.ts';
import { type CounterCommand, type CounterEvent, type CounterState, counterZone } from './zone.ts';

const counterKind = zoneKind<CounterState, CounterCommand, CounterEvent>('counter', 'counters', () => counterZone);
const { listCounters, getCounter, incrementCounter } = counterContract.endpoints;

/** Counts the trades of each pair, whatever the venue. */
export const counterModule = defineModule({
  contract: counterContract,
  zones: [counterKind],
  commands: {
    counters: {
      summary: 'counters of trades',
      commands: {
        step: {
          summary: 'print what an increment over the API adds',
          run: ({ settings, write }) => write(`${settingsOf(counterContract, settings).counters.step}\n`),
        },
      },
    },
  },
  open: (context) => {
    const counters = context.zones(counterKind);
    const totals = totalsOf();
    const { step } = settingsOf(counterContract, context.settings).counters;
    const describe = (id: string) => ({ id, count: counters.view(id)?.state.count ?? 0 });
    counters.onDecided((id) => context.hub.publish(`counters:${id}`, 'conflated', 'counter', '', describe(id)));
    return {
      routes: (routes) => {
        routes.list(
          listCounters,
          ({ id }) => id,
          () => [...totals.counts].map(([id, count]) => ({ id, count })),
        );
        routes.handle(getCounter, async ({ params: { id } }) => {
          if (!totals.counts.has(id))
            throw new ApiProblem('NOT_FOUND', `Unknown counter "${id}".`, 'GET /api/v1/counters lists all counters.');
          return counters.open(id).then(() => describe(id));
        });
        routes.handle(incrementCounter, async ({ params: { id } }) => {
          await counters.open(id);
          const reply = await counters.submit(id, { type: 'Increment', by: step }, { durable: true });
          if (!reply.ok) throw new ApiProblem('CONFLICT', reply.message, 'Try again.');
          return describe(id);
        });
      },
      channels: { counters: { initial: ({ counter = '' }) => [{ event: 'counter', key: '', data: describe(counter) }] } },
      projections: { 'counter-totals': { topic: 'counters', projection: totals.projection } },
      reactors: {
        'trade-counter': {
          from: 'market',
          to: 'counters',
          wants: (zone) => kindOf(zone) === 'instrument',
          *react({ type }, zone) {
            const pair = keyOf(zone).split(':').at(-1) ?? '';
            if (type === 'TradeRecorded') yield { to: zoneAddress('counter', pair), command: { type: 'Increment', by: 1 } };
          },
        },
      },
      metrics: (metrics) => metrics.read('millrace_counters', 'Open counters', () => [[{}, counters.keys().length]]),
    };
  },
});

/** A projection in memory: it begins with the oldest events at each start. */
function totalsOf(): { readonly counts: ReadonlyMap<string, number>; readonly projection: Projection } {
  const counts = new Map<string, number>();
  const offsets = new Map<number, number>();
  return {
    counts,
    projection: {
      name: 'counter-totals',
      offsets: async () => offsets,
      apply: async (batches, read) => {
        for (const { zone, events } of batches) counts.set(keyOf(zone), (counts.get(keyOf(zone)) ?? 0) + events.length);
        for (const { partition, next } of read) offsets.set(partition, next);
      },
    },
  };
}
