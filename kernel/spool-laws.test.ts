import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import type { EventBatch } from './batch.ts';
import type { ZoneAddress } from './command.ts';
import type { Journal, SnapshotStore } from './ports.ts';
import {
  ManualClock,
  MemoryLog,
  MemorySnapshots,
  MemorySpools,
  newHost,
  settled,
  type TestHost,
  type Turnstile,
  turnstile,
} from './testing/index.ts';

/*
 * The law of the spool: whatever fails and whenever the process ends, an event that the log or the spool had is in the log at the end, and so is every event
 * of an acknowledged command; none is there twice; and a zone has the state that its log gives.
 */

const ZONES: readonly ZoneAddress[] = ['turnstile/a', 'turnstile/b'];
/** A turnstile without a limit. */
const gate = { ...turnstile, create: (): Turnstile => ({ admitted: 0, capacity: 1e9, drawn: [], ticks: [] }) };

type Step =
  | { what: 'open' | 'break' | 'release' | 'snapshot'; zone: number }
  | { what: 'send'; zone: number; durable: boolean }
  | { what: 'outage' | 'kill' | 'close' | 'failRead' | 'delayClaim' | 'endDelay' | 'failStore' }
  | { what: 'pass'; ms: number };

const zone = fc.nat(ZONES.length - 1);
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 4, arbitrary: fc.record({ what: fc.constantFrom('open', 'open', 'break', 'release', 'snapshot'), zone }) },
  { weight: 6, arbitrary: fc.record({ what: fc.constant('send' as const), zone, durable: fc.boolean() }) },
  { weight: 2, arbitrary: fc.record({ what: fc.constant('outage' as const) }) },
  {
    weight: 4,
    arbitrary: fc.record({ what: fc.constantFrom('kill', 'close', 'failRead', 'delayClaim', 'endDelay', 'failStore') }),
  },
  { weight: 6, arbitrary: fc.record({ what: fc.constant('pass' as const), ms: fc.constantFrom(0, 10, 500, 6_000) }) },
);

/** One machine: its stores outlive its processes. */
class Machine {
  readonly clock = new ManualClock(1_000);
  readonly log = new MemoryLog();
  readonly #hot = new MemorySnapshots();
  readonly #cold = new MemorySnapshots();
  spools: MemorySpools;
  parts: TestHost;
  readonly acknowledged = new Set<string>();
  /** Ids of commands whose events the log or the spool had when a process ended. */
  readonly stored = new Set<string>();
  lostEvents = 0;
  #reads = 0;
  #stores = 0;
  #isClaimDelayed = false;
  #delayed: (() => void)[] = [];
  #count = 0;
  #process = 0;

  /** @param areTogether whether the zones share a shard */
  constructor(spoolEvents: number, areTogether: boolean) {
    this.log.areTogether = areTogether;
    this.spools = new MemorySpools(spoolEvents);
    this.parts = this.#start();
  }

  #start(): TestHost {
    const process = ++this.#process;
    const isRunning = () => process === this.#process;
    const never = <T>() => new Promise<T>(() => {});
    const own: Journal['own'] = async (...claim) => {
      const writer = await this.log.own(...claim);
      return { ...writer, append: (batches) => (isRunning() ? writer.append(batches) : never()) };
    };
    const log: Journal = {
      inFlightMax: 64,
      shardOf: (address) => this.log.shardOf(address),
      own: (...claim) => {
        if (!isRunning()) return never();
        if (!this.#isClaimDelayed) return own(...claim);
        this.#isClaimDelayed = false;
        return new Promise((resolve, reject) =>
          this.#delayed.push(() => void (isRunning() ? own(...claim) : never<never>()).then(resolve, reject)),
        );
      },
      placeOf: (shard) => this.log.placeOf(shard),
      follow: (...given) => this.log.follow(...given),
      read: (...given) => this.#read(isRunning, ...given),
    };
    const store = (kept: MemorySnapshots): SnapshotStore => {
      const call = <T>(work: () => Promise<T>) =>
        !isRunning() ? never<T>() : this.#stores-- > 0 ? Promise.reject<T>(new Error('EIO: store')) : work();
      return {
        save: (one) => call(() => kept.save(one)),
        list: (at) => call(() => kept.list(at)),
        load: (label) => call(() => kept.load(label)),
      };
    };
    this.#stores = 0;
    return newHost([gate], {
      log: log as MemoryLog,
      spools: this.spools,
      hot: store(this.#hot) as MemorySnapshots,
      cold: store(this.#cold) as MemorySnapshots,
      clock: this.clock,
    });
  }

  async *#read(isRunning: () => boolean, ...given: Parameters<Journal['read']>): AsyncGenerator<EventBatch> {
    if (this.#reads > 0) {
      this.#reads--;
      throw new Error('EIO: read');
    }
    for await (const batch of this.log.read(...given)) {
      if (!isRunning()) await new Promise(() => {});
      yield batch;
    }
  }

  send(address: ZoneAddress, durable: boolean): void {
    const id = `c${this.#count++}`;
    const command = { type: 'Admit', people: 1 } as const;
    if (!durable) return void this.parts.host.send(address, command, { id });
    void this.parts.host.submit(address, command, { id, durable }).then(({ ok }) => ok && this.acknowledged.add(id));
  }

  /** Ends the process and starts another one. */
  end(): void {
    for (const batches of [this.log.batches, this.spools.all()]) for (const id of idsOf(batches)) this.stored.add(id);
    this.lostEvents += this.parts.host.stats().outbox.lostEvents;
    this.spools = this.spools.reopened();
    this.#delayed = [];
    this.parts = this.#start();
  }

  async apply(one: Step): Promise<void> {
    const { host } = this.parts;
    const address = ZONES['zone' in one ? one.zone : 0] as ZoneAddress;
    if (one.what === 'open') void host.open(address).catch(() => {});
    else if (one.what === 'send') this.send(address, one.durable);
    else if (one.what === 'break') host.send(address, { type: 'Break' });
    else if (one.what === 'release') void host.release(address).catch(() => {});
    else if (one.what === 'snapshot') void host.snapshot(address, 'hot');
    else if (one.what === 'outage') this.log.away = this.log.away === null ? 'gone' : null;
    else if (one.what === 'failRead') this.#reads = 1;
    else if (one.what === 'failStore') this.#stores = 1;
    else if (one.what === 'delayClaim') this.#isClaimDelayed = true;
    else if (one.what === 'endDelay') this.endDelay();
    else if (one.what === 'kill') this.end();
    else if (one.what === 'close') {
      await settled(this.clock, host.close());
      this.end();
    } else if (one.what === 'pass') await this.clock.advance(one.ms);
  }

  endDelay(): void {
    this.#isClaimDelayed = false;
    for (const claim of this.#delayed.splice(0)) claim();
  }

  /** Ends all faults, and opens all zones. */
  async recover(): Promise<void> {
    this.log.away = null;
    this.#reads = 0;
    this.#stores = 0;
    this.endDelay();
    await this.clock.advance(30_000);
    for (const address of ZONES) await settled(this.clock, this.parts.host.open(address));
    await this.clock.advance(30_000);
    this.lostEvents += this.parts.host.stats().outbox.lostEvents;
  }
}

const idsOf = (batches: readonly EventBatch[]) => batches.flatMap(({ metas }) => metas?.flatMap((meta) => meta?.id ?? []) ?? []);

async function checkMachine(steps: readonly Step[], spoolEvents: number, areTogether: boolean): Promise<void> {
  const machine = new Machine(spoolEvents, areTogether);
  for (const one of steps) await machine.apply(one);
  await machine.recover();
  const ids = idsOf(machine.log.batches);
  assert.equal(new Set(ids).size, ids.length, 'an event is in the log twice');
  for (const id of machine.acknowledged) assert.ok(ids.includes(id), `${id} was acknowledged, and is not in the log`);
  if (machine.lostEvents === 0 && machine.spools.givenUp.length === 0)
    for (const id of machine.stored) assert.ok(ids.includes(id), `${id} was stored, and is not in the log`);
  for (const address of ZONES) {
    const batches = machine.log.batches.filter((batch) => batch.zone === address);
    const events = batches.reduce((sum, batch) => sum + batch.events.length, 0);
    const view = machine.parts.host.view(address);
    if (batches.every(({ loss }) => !loss)) assert.deepEqual([view?.seq, (view?.state as Turnstile).admitted], [events, events], address);
  }
}

const RUNS = Number(process.env.SPOOL_RUNS ?? 150);

describe('no event that was stored is missing or twice in the log', () => {
  for (const spoolEvents of [1_000_000, 8])
    test(`with a spool of ${spoolEvents} events`, () =>
      fc.assert(
        fc.asyncProperty(fc.array(step, { minLength: 10, maxLength: 50 }), fc.boolean(), (steps, areTogether) =>
          checkMachine(steps, spoolEvents, areTogether),
        ),
        { numRuns: RUNS },
      ));
});
