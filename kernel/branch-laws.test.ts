import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { defineZone } from './definition.ts';
import { guardedLog, ManualClock, MemoryLog, MemorySnapshots, MemorySpools, newHost, settled, type TestHost } from './testing/index.ts';

/*
 * The law of branches: two machines own a zone by turns, each with a spool of its own. Whatever fails, each event in the log was decided on the state that the
 * events before it give, and no event of an acknowledged command is missing.
 */

const ZONE = 'chain/a';

interface Chain {
  last: string;
}
type Linked = { type: 'Linked'; id: string; previous: string };

/** Each event names the one before it: events of two branches do not fit together. */
const chain = defineZone<Chain, { id: string }, Linked>({
  kind: 'chain',
  version: 1,
  create: () => ({ last: '' }),
  decide: ({ last }, { id }, { emit }) => emit({ type: 'Linked', id, previous: last }),
  evolve: (state, { id }) => {
    state.last = id;
  },
});

/** What both machines use. */
class Installation {
  readonly clock = new ManualClock(1_000);
  readonly log = new MemoryLog();
  readonly hot = new MemorySnapshots();
  readonly acknowledged = new Set<string>();
  #sent = 0;

  async send(host: TestHost['host'], durable: boolean): Promise<void> {
    const id = `c${this.#sent++}`;
    void host.submit(ZONE, { id }, { durable }).then(({ ok }) => ok && durable && this.acknowledged.add(id));
    await this.clock.advance(10);
  }
}

/** A machine that can lose its connection to the log, and whose spool outlives its processes. */
class Machine {
  readonly #installation: Installation;
  #spools = new MemorySpools();
  #process = 0;
  isCutOff = false;
  host: TestHost['host'];

  constructor(installation: Installation) {
    this.#installation = installation;
    this.host = this.#start();
  }

  #start(): TestHost['host'] {
    const { clock, log, hot } = this.#installation;
    const process = ++this.#process;
    /** What a killed process asked for has no effect, and no answer. */
    const reach = async () => {
      if (process !== this.#process) await new Promise(() => {});
      if (this.isCutOff) throw new Error('the log is unavailable');
    };
    const reached = guardedLog(log, reach);
    return newHost([chain], { clock, hot, log: reached as MemoryLog, spools: this.#spools }).host;
  }

  kill(): void {
    this.#spools = this.#spools.reopened();
    this.host = this.#start();
  }

  /** Ends all faults, and opens the zone. */
  async recover(): Promise<void> {
    const { clock } = this.#installation;
    this.isCutOff = false;
    await clock.advance(30_000);
    this.kill();
    await settled(clock, this.host.open(ZONE));
    await clock.advance(30_000);
  }
}

/** One turn of a machine. */
interface Turn {
  readonly machine: 0 | 1;
  readonly isOpened: boolean;
  /** Whether the machine reaches the log no more once the zone is open, until its next turn. */
  readonly isCutOff: boolean;
  readonly commands: number;
  readonly isDurable: boolean;
  readonly end: 'nothing' | 'snapshot' | 'kill' | 'wait';
}

const turn: fc.Arbitrary<Turn> = fc.record({
  machine: fc.constantFrom(0, 1),
  isOpened: fc.boolean(),
  isCutOff: fc.boolean(),
  commands: fc.nat(4),
  isDurable: fc.boolean(),
  end: fc.constantFrom('nothing', 'snapshot', 'kill', 'wait'),
});

async function take({ isOpened, isCutOff, commands, isDurable, end }: Turn, on: Machine, installation: Installation): Promise<void> {
  const { clock } = installation;
  on.isCutOff = false;
  if (isOpened) void on.host.open(ZONE).catch(() => {});
  await clock.advance(100);
  on.isCutOff = isCutOff;
  for (let count = 0; count < commands; count++) await installation.send(on.host, isDurable);
  if (end === 'snapshot') await settled(clock, on.host.snapshot(ZONE, 'hot'));
  else if (end === 'kill') on.kill();
  else if (end === 'wait') await clock.advance(6_000);
}

async function checkBranches(turns: readonly Turn[]): Promise<void> {
  const installation = new Installation();
  const machines = [new Machine(installation), new Machine(installation)] as const;
  for (const one of turns) await take(one, machines[one.machine], installation);
  for (const one of machines) await one.recover();
  const ids = new Set<string>();
  let last = '';
  for (const { events, loss } of installation.log.batches) {
    if (loss) last = (loss.checkpoint.state as Chain).last;
    for (const { id, previous } of events as Linked[]) {
      assert.equal(previous, last, `${id} was decided after another event`);
      ids.add(id);
      last = id;
    }
  }
  for (const id of installation.acknowledged) assert.ok(ids.has(id), `${id} was acknowledged, and is not in the log`);
  assert.equal((machines[1].host.view(ZONE)?.state as Chain).last, last);
}

test('two machines that own a zone by turns write one branch', () =>
  fc.assert(
    fc.asyncProperty(fc.array(turn, { minLength: 3, maxLength: 12 }), (turns) => checkBranches(turns)),
    { numRuns: Number(process.env.BRANCH_RUNS ?? 200) },
  ));
