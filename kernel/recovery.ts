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

/** One step of a recovery: the source tried, the duration in ms, and the outcome. `standby`: the copy that this host kept before it owned the zone. */
export interface RecoveryStep {
  readonly source: 'standby' | 'hot' | 'cold' | 'replay';
  readonly ms: number;
  /** The seq reached, or the reason why the source could not be used. */
  readonly outcome: number | string;
}

/** A zone at one seq of its record, and how to read on. */
export interface ZoneCopy {
  readonly replay: StateReplay;
  /** Where in the log to start reading the events after it. */
  position: LogPosition | null;
  /** The highest epoch of what it was made from; 0 for the initial state. */
  epoch: number;
}

/** A point in the past of a zone: after the event `seq`, or after all events decided up to `time` (epoch ms). */
export type PointInTime = { readonly seq: number } | { readonly time: number };

type Timed = (source: RecoveryStep['source']) => (outcome: number | string) => void;

/**
 * Recovers a zone from its standby copy or its newest intact snapshot, hot or cold, or without one from the initial state; then from the rest
 * of the log. With a point in time, the same code returns the zone at that point. That is exact when it reaches the seq, or `isFollowed`.
 * @param until `head`: the end of the log, for the owner. `standby`: its copy, which this changes
 * @returns `epoch`: the highest of the snapshot and of the batches read, or 0. `isFollowed`: the log continues after the
 *   requested time, so no event up to it can be missing.
 * @throws RecordBroken when the log lacks events between the restored state and the batches that it holds; RecordBehind when a snapshot is newer than `head`
 */
export async function recover(
  definition: AnyZoneDefinition,
  zone: ZoneAddress,
  record: ZoneRecord,
  until?: PointInTime | { readonly head: number; readonly standby?: ZoneCopy | undefined },
) {
  const { clock } = record;
  const steps: RecoveryStep[] = [];
  const timed: Timed = (source) => {
    const started = clock.elapsed();
    return (outcome) => void steps.push({ source, ms: clock.elapsed() - started, outcome });
  };
  const end = {
    seq: Number.POSITIVE_INFINITY,
    time: Number.POSITIVE_INFINITY,
    head: Number.POSITIVE_INFINITY,
    standby: undefined,
    ...until,
  };
  const readAll = async (from: ZoneCopy) => {
    const note = timed('replay');
    const recovered = { ...from, zone, steps, isFollowed: false };
    await readOn(from.replay, recovered, record, end);
    note(from.replay.seq);
    return recovered;
  };
  const standby = end.standby && usable(end.standby, end.head, timed);
  if (standby) {
    const recovered = await readAll(standby).catch((error) => timed('standby')(`cannot be continued: ${messageOf(error)}`));
    if (recovered) return recovered;
  }
  return readAll(copyOf(definition, zone, await newestOf(record, definition, zone, end, timed)));
}

/** A copy of a zone from its newest intact snapshot, hot or cold, or without one its initial state. Reads nothing of the log. */
export async function newestCopy(definition: AnyZoneDefinition, zone: ZoneAddress, record: Omit<ZoneRecord, 'log'>): Promise<ZoneCopy> {
  const end = { seq: Number.POSITIVE_INFINITY, time: Number.POSITIVE_INFINITY, head: Number.POSITIVE_INFINITY };
  return copyOf(definition, zone, await newestOf(record, definition, zone, end, () => () => {}));
}

/** A copy of a zone from a snapshot; without one, its initial state. */
export function copyOf(definition: AnyZoneDefinition, zone: ZoneAddress, snapshot: Snapshot | undefined): ZoneCopy {
  return {
    replay: new StateReplay(definition, zone, snapshot),
    position: snapshot?.position ?? null,
    epoch: snapshot?.epoch ?? 0,
  };
}

/** The standby copy of a zone, unless it has events that its owner does not know. */
function usable(standby: ZoneCopy, head: number, timed: Timed): ZoneCopy | undefined {
  const { seq } = standby.replay;
  timed('standby')(seq <= head ? seq : `the copy is at seq ${seq}, but the log ends at ${head}`);
  return seq <= head ? standby : undefined;
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
  { clock, ...stores }: Omit<ZoneRecord, 'log'>,
  definition: AnyZoneDefinition,
  zone: ZoneAddress,
  end: { readonly seq: number; readonly time: number; readonly head: number },
  timed: Timed,
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
