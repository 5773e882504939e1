import { type Context, ZoneHost } from '@millrace/kernel';
import {
  MemorySnapshots,
  MemorySpools,
  openNumbers,
  type Turnstile,
  type TurnstileCommand,
  type TurnstileEvent,
  turnstile,
} from '@millrace/kernel/testing';
import { pairedUndisturbed, rate, report } from './measure.ts';

/* decide + evolve + emit through a zone host, against the same rule called in a bare loop. */

const COMMANDS = 1_000_000;
const PER_TURN = 512;
const commandAt = (index: number): TurnstileCommand => ({ type: 'Admit', people: index & 3 });
const endless = { ...turnstile, create: () => ({ ...turnstile.create('x'), capacity: Number.MAX_SAFE_INTEGER }) };

async function ours(): Promise<number> {
  const turns: (() => void)[] = [];
  const host = new ZoneHost({
    log: {
      inFlightMax: 64,
      shardOf: () => 0,
      own: async (_shard, { onPrevious }) => {
        onPrevious('owner', '');
        return { epoch: 1, headOf: () => 0, append: async () => 0, ended: new Promise(() => {}), release: async () => {} };
      },
      placeOf: async () => ({ position: null, heads: new Map() }),
      follow: async function* () {},
      read: async function* () {},
    },
    spools: new MemorySpools(),
    hot: new MemorySnapshots(),
    cold: new MemorySnapshots(),
    clock: { now: () => 0, elapsed: () => 0, soon: (turn) => void turns.push(turn), after: () => () => {} },
    random: openNumbers,
  });
  host.register(endless);
  await host.open('turnstile/gate');
  return rate(COMMANDS, async () => {
    for (let sent = 0; sent < COMMANDS; sent += PER_TURN) {
      for (let index = 0; index < PER_TURN; index++) host.send('turnstile/gate', commandAt(index));
      for (let turn = turns.pop(); turn; turn = turns.pop()) turn();
      // Lets the asynchronous append of the outbox complete, as in production.
      await null;
    }
  });
}

function bare(): Promise<number> {
  const state: Turnstile = endless.create();
  let events: TurnstileEvent[] = [];
  const context: Context<TurnstileEvent> = {
    now: 0,
    random: () => 0,
    emit: (event) => {
      events.push(event);
      endless.evolve(state, event);
    },
    refuse: () => {},
  };
  return rate(COMMANDS, () => {
    for (let sent = 0; sent < COMMANDS; sent++) {
      endless.decide(state, commandAt(sent), context);
      if (events.length >= PER_TURN) events = [];
    }
  });
}

const result = await pairedUndisturbed(25, ours, async () => bare());
report({ what: 'decide + evolve + emit, one core', ...result, unit: 'commands/s', budget: { kind: '>=', value: 0.3 } });
