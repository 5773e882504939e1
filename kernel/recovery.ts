import type { ZoneAddress } from './command.ts';
import { ANSWER_MS_MAX, messageOf, whileItGives, within } from './deadline.ts';
import type { AnyZoneDefinition } from './definition.ts';
import type { Clock, Snapshot, SnapshotLabel, SnapshotStore, ZoneLog } from './ports.ts';
import { contradicts, StateReplay, stateOf } from './state-replay.ts';

/** The log and the stores that hold the record of a zone. */
export interface ZoneRecord {
  readonly log: Pick<ZoneLog, 'read'>;
  readonly hot: SnapshotStore;
  readonly cold: SnapshotStore;
  readonly clock: Clock;
}

/** Time limit in ms for the list of the cold store when there is a hot snapshot: an unavailable cold store then delays little. */
const SECOND_MS_MAX = 500;

/** One step of a recovery: the source tried, the duration in ms, and the outcome. */
export interface RecoveryStep {
  readonly source: 'hot' | 'cold' | 'replay';
  readonly ms: number;
  /** The seq reached, or the reason why the source could not be used. */
  readonly outcome: number | string;
}

/** A point in the past of a zone: after the event `seq`, or after all events decided up to `time` (epoch ms). */
export type PointInTime = { readonly seq: number } | { readonly time: number };

/**
 * Recovers a zone from its newest intact snapshot, hot or cold, or without one from the initial state; then from the rest of the
 * log. With `until`, the same code returns the zone at that point in time. That is exact when it reaches the seq, or `isFollowed`.
 * @returns `epoch`: the highest of the snapshot and of the batches read, or 0. `last`: the newest batch that was read or carried. `unrecorded`: events
 *   that the snapshot carries because the log lacked them; they must be written before any new event. `isFollowed`: the log continues after the
 *   requested time, so no event up to it can be missing.
 * @throws RecordBroken when the log lacks events between the restored state and the batches that it holds
 */
export async function recover(definition: AnyZoneDefinition, zone: ZoneAddress, record: ZoneRecord, until?: PointInTime) {
  const { clock, log } = record;
  const end = { seq: Number.POSITIVE_INFINITY, time: Number.POSITIVE_INFINITY, ...until };
  const steps: RecoveryStep[] = [];
  const timed = (source: RecoveryStep['source']) => {
    const started = clock.elapsed();
    return (outcome: number | string) => void steps.push({ source, ms: clock.elapsed() - started, outcome });
  };
  const snapshot = await newestOf(record, definition, zone, ({ seq, time }) => seq <= end.seq && time <= end.time, timed);
  const note = timed('replay');
  const replay = new StateReplay(definition, zone, snapshot);
  const { position = null, unrecorded = [] } = snapshot ?? {};
  let [epoch, isFollowed, last] = [snapshot?.epoch ?? 0, false, unrecorded.at(-1)];
  await whileItGives(clock, ANSWER_MS_MAX, 'the log', async (given) => {
    for await (const batch of log.read(zone, replay.seq, position)) {
      given();
      isFollowed = batch.time > end.time;
      if (isFollowed) return replay.requireFollowedBy(batch);
      replay.apply(batch, end.seq);
      [epoch, last] = [Math.max(epoch, batch.epoch), batch];
      if (replay.seq >= end.seq) break;
    }
  });
  note(replay.seq);
  return { replay, position, epoch, last, unrecorded, steps, isFollowed };
}

/** The newest usable snapshot of both stores, at equal seq the hot one; undefined when there is none. Notes each attempt. */
async function newestOf(
  { log, clock, ...stores }: ZoneRecord,
  definition: AnyZoneDefinition,
  zone: ZoneAddress,
  isWanted: (label: SnapshotLabel) => boolean,
  timed: (source: 'hot' | 'cold') => (outcome: number | string) => void,
): Promise<Snapshot | undefined> {
  const get = <T>(source: 'hot' | 'cold', work: Promise<T>, ms = ANSWER_MS_MAX) => within(clock, ms, `the ${source} store`, work);
  const labelsOf = async (source: 'hot' | 'cold', ms: number) => {
    const note = timed(source);
    const labels = await get(source, stores[source].list(zone), ms).catch((error) => note(`the store is unavailable: ${messageOf(error)}`));
    return (labels ?? []).filter(isWanted).map((label) => ({ source, label }));
  };
  const hot = await labelsOf('hot', ANSWER_MS_MAX);
  const cold = await labelsOf('cold', hot.length > 0 ? SECOND_MS_MAX : ANSWER_MS_MAX);
  const all = [...hot, ...cold].sort((one, other) => other.label.seq - one.label.seq || other.label.epoch - one.label.epoch);
  for (const { source, label } of all) {
    const note = timed(source);
    const skip = (reason: string) => note(`snapshot at seq ${label.seq} ${reason}`);
    const snapshot = await get(source, stores[source].load(label)).catch((error) => skip(`cannot be used: ${messageOf(error)}`));
    if (!snapshot) continue;
    const state = stateOf(snapshot, definition);
    if (state === undefined) skip(`is of version ${snapshot.version}, but this code needs version ${definition.version}`);
    // A log failure here fails the recovery: it must not skip a snapshot that may be the only one with these events.
    else if (await within(clock, ANSWER_MS_MAX, 'the log', isAbandoned(snapshot, all, log)))
      skip('is of an abandoned branch: a later owner continued without it');
    else {
      note(snapshot.seq);
      return { ...snapshot, state };
    }
  }
  return undefined;
}

/**
 * Whether the log continued without events that only this snapshot had: a later owner recovered from an older state and decided
 * other events. A snapshot without unrecorded events is never abandoned: the log has its events, and accepts only those of an owner.
 */
async function isAbandoned(snapshot: Snapshot, known: readonly { label: SnapshotLabel }[], log: Pick<ZoneLog, 'read'>): Promise<boolean> {
  const first = snapshot.unrecorded[0];
  if (!first) return false;
  // Retention may have dropped the events that show it. Then the snapshot that let it drop them is of that later owner.
  if (known.some(({ label: { epoch, seq } }) => epoch > snapshot.epoch && seq >= first.firstSeq && seq < snapshot.seq)) return true;
  for await (const batch of log.read(snapshot.zone, first.firstSeq - 1, snapshot.position)) {
    if (batch.firstSeq > snapshot.seq) return false;
    // The carried events may be lost since the snapshot was taken. Its list of accepted commands is then no longer valid.
    if (batch.loss || snapshot.unrecorded.some((carried) => contradicts(carried, batch))) return true;
  }
  return false;
}
