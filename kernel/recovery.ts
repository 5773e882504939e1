import type { ZoneAddress } from './command.ts';
import { ANSWER_MS_MAX, messageOf, whileItGives, within } from './deadline.ts';
import type { AnyZoneDefinition } from './definition.ts';
import type { Clock, LogPosition, Snapshot, SnapshotStore, ZoneHistory } from './ports.ts';
import { RecordBehind, StateReplay, stateOf } from './state-replay.ts';

/** The log and the stores that hold the record of a zone. */
export interface ZoneRecord {
  readonly log: ZoneHistory;
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
 * log. With a point in time, the same code returns the zone at that point. That is exact when it reaches the seq, or `isFollowed`.
 * @param until `head`: the end of the log, for the owner
 * @returns `epoch`: the highest of the snapshot and of the batches read, or 0. `isFollowed`: the log continues after the
 *   requested time, so no event up to it can be missing.
 * @throws RecordBroken when the log lacks events between the restored state and the batches that it holds; RecordBehind when a snapshot is newer than `head`
 */
export async function recover(
  definition: AnyZoneDefinition,
  zone: ZoneAddress,
  record: ZoneRecord,
  until?: PointInTime | { readonly head: number },
) {
  const { clock } = record;
  const steps: RecoveryStep[] = [];
  const timed = (source: RecoveryStep['source']) => {
    const started = clock.elapsed();
    return (outcome: number | string) => void steps.push({ source, ms: clock.elapsed() - started, outcome });
  };
  const end = { seq: Number.POSITIVE_INFINITY, time: Number.POSITIVE_INFINITY, head: Number.POSITIVE_INFINITY, ...until };
  const snapshot = await newestOf(record, definition, zone, end, timed);
  const note = timed('replay');
  const replay = new StateReplay(definition, zone, snapshot);
  const recovered = { replay, zone, position: snapshot?.position ?? null, epoch: snapshot?.epoch ?? 0, steps, isFollowed: false };
  await readOn(replay, recovered, record, end);
  note(replay.seq);
  return recovered;
}

/** Applies what the log has after the seq of a replay. */
export async function readOn(
  replay: StateReplay,
  recovered: { readonly zone: ZoneAddress; readonly position: LogPosition | null; epoch: number; isFollowed: boolean },
  { log, clock }: Pick<ZoneRecord, 'log' | 'clock'>,
  end = { seq: Number.POSITIVE_INFINITY, time: Number.POSITIVE_INFINITY },
): Promise<void> {
  await whileItGives(clock, ANSWER_MS_MAX, 'the log', async (given) => {
    for await (const batch of log.read(recovered.zone, replay.seq, recovered.position)) {
      given();
      recovered.isFollowed = batch.time > end.time;
      if (recovered.isFollowed) return replay.requireFollowedBy(batch);
      replay.apply(batch, end.seq);
      recovered.epoch = Math.max(recovered.epoch, batch.epoch);
      if (replay.seq >= end.seq) break;
    }
  });
}

/** The newest usable snapshot of both stores, at equal seq the hot one; undefined when there is none. Notes each attempt. */
async function newestOf(
  { clock, ...stores }: ZoneRecord,
  definition: AnyZoneDefinition,
  zone: ZoneAddress,
  end: { readonly seq: number; readonly time: number; readonly head: number },
  timed: (source: 'hot' | 'cold') => (outcome: number | string) => void,
): Promise<Snapshot | undefined> {
  const get = <T>(source: 'hot' | 'cold', work: Promise<T>, ms = ANSWER_MS_MAX) => within(clock, ms, `the ${source} store`, work);
  const labelsOf = async (source: 'hot' | 'cold', ms: number) => {
    const note = timed(source);
    const labels = await get(source, stores[source].list(zone), ms).catch((error) => note(`the store is unavailable: ${messageOf(error)}`));
    return (labels ?? []).filter(({ seq, time }) => seq <= end.seq && time <= end.time).map((label) => ({ source, label }));
  };
  const hot = await labelsOf('hot', ANSWER_MS_MAX);
  const cold = await labelsOf('cold', hot.length > 0 ? SECOND_MS_MAX : ANSWER_MS_MAX);
  const all = [...hot, ...cold].sort((one, other) => other.label.seq - one.label.seq || other.label.epoch - one.label.epoch);
  for (const { source, label } of all) {
    const note = timed(source);
    const skip = (reason: string) => note(`snapshot at seq ${label.seq} ${reason}`);
    const snapshot = await get(source, stores[source].load(label)).catch((error) => skip(`cannot be used: ${messageOf(error)}`));
    if (!snapshot) continue;
    // Only events that the log has are in snapshots: the log is an older one.
    if (label.seq > end.head) throw new RecordBehind(zone, label.seq, end.head);
    const state = stateOf(snapshot, definition);
    if (state === undefined) skip(`is of version ${snapshot.version}, but this code needs version ${definition.version}`);
    else {
      note(snapshot.seq);
      return { ...snapshot, state };
    }
  }
  return undefined;
}
