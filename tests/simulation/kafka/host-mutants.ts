import type { Mutant } from '../mutants.ts';

const BRANCH = /was decided after|follows event|is in the log twice|two events are/;
const TOLD = /was confirmed at|was refused with/;
const STUCK = /is open nowhere|did not go on|events, and the log/;
const either = (...checks: RegExp[]) => new RegExp(checks.map(({ source }) => source).join('|'));

/** Planted bugs of zone hosts on a log in Kafka, which `npm run simulate -- --hosts` must find. */
export const HOST_MUTANTS: Readonly<Record<string, Mutant>> = {
  'a shard is claimed again after another owner': {
    file: 'kernel/shard.ts',
    from: 'this.epoch > 0 && !this.#owners.has(previous)',
    to: 'false',
    violates: either(BRANCH, TOLD, STUCK),
    seed: 64,
  },
  'a snapshot is stored before the log in Kafka has its events': {
    file: 'kernel/snapshots.ts',
    from: 'store.save(zone.snapshot(time), this.#recorded(entry))',
    to: 'store.save(zone.snapshot(time), Math.random() > 2 ? this.#recorded(entry) : undefined)',
    violates: either(BRANCH, TOLD, STUCK),
    seed: 1,
  },
  'a decision without a confirmation is refused': {
    file: 'kernel/durable-waiters.ts',
    from: "refused('OUTCOME_UNKNOWN',",
    to: "refused('ZONE_STOPPED',",
    violates: /was refused with/,
    seed: 1,
  },
  'a zone that is taken over shares its state with a standby copy': {
    file: 'kernel/standby-shard.ts',
    from: '    const copy = this.#copies.get(zone);\n    this.#copies.delete(zone);\n    return copy;\n',
    to: '    return this.#copies.get(zone);\n',
    violates: /the copy of/,
    seed: 1,
  },
  'a follower does not note the events that it reads': {
    file: 'platform/kafka/shard-follower.ts',
    from: '    for (const { batch } of batches) heads.set(batch.zone, lastSeqOf(batch));\n',
    to: '',
    violates: either(BRANCH, TOLD, STUCK),
    seed: 4,
  },
  'the time of a zone follows its clock': {
    file: 'kernel/zone-time.ts',
    from: '    else this.#behind ??= { time: this.#last, elapsed };\n',
    to: '',
    violates: /is before that of the event before it/,
    seed: 3,
  },
};
