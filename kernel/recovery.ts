import type { EventBatch } from './batch.ts';
import { ANSWER_MS_MAX, messageOf, whileItGives, within } from './deadline.ts';
import type { AnyZoneDefinition, ZoneAddress } from './definition.ts';
import { Past, stateOf } from './past.ts';
import type { Clock, LogPosition, Snapshot, SnapshotLabel, SnapshotStore, ZoneLog } from './ports.ts';

/** Where a zone’s past is kept. */
export interface ZoneRecord {
  readonly log: Pick<ZoneLog, 'read'>;
  readonly hot: SnapshotStore;
  readonly cold: SnapshotStore;
  readonly clock: Clock;
}

/** How long the cold store has to say what it has, where there is a hot snapshot: one that is unavailable delays nobody much. */
const SECOND_MS_MAX = 500;

/** One step of the ladder: what was tried, how long it took, what came of it. */
export interface RecoveryStep {
  readonly source: 'hot' | 'cold' | 'replay';
  readonly ms: number;
  /** The seq reached, or why the source did not hold. */
  readonly outcome: number | string;
}

interface Recovered {
  readonly past: Past;
  readonly position: LogPosition | null;
  /** Of the newest owner that is known to have decided or seen it; 0 when there was none. */
  readonly epoch: number;
  /** Events a snapshot carried because the log lacked them; they must be written before anything new. */
  readonly unrecorded: readonly EventBatch[];
  readonly steps: readonly RecoveryStep[];
  /** Whether the log goes on after the moment that was asked for, so that nothing of that moment can be missing. */
  readonly isFollowed: boolean;
}

/** A moment of a zone’s past: after the event `seq`, or after everything decided up to `time` (epoch ms). */
export type PointInTime = { readonly seq: number } | { readonly time: number };

/**
 * Brings a zone back: the newest snapshot that is whole, hot or cold, else nothing; then the log’s tail.
 * With `until` the same code answers what the zone was at a past moment: exactly, when it reaches that seq, or is followed.
 * @throws RecordBroken when the log lacks events between what was restored and what it holds
 */
export async function recover(
  definition: AnyZoneDefinition,
  zone: ZoneAddress,
  record: ZoneRecord,
  until?: PointInTime,
): Promise<Recovered> {
  const { clock, log } = record;
  const end = { seq: Number.POSITIVE_INFINITY, time: Number.POSITIVE_INFINITY, ...until };
  const steps: RecoveryStep[] = [];
  const timed = (source: RecoveryStep['source']) => {
    const started = clock.elapsed();
    return (outcome: number | string) => void steps.push({ source, ms: clock.elapsed() - started, outcome });
  };
  const snapshot = await newestOf(record, definition, zone, ({ seq, time }) => seq <= end.seq && time <= end.time, timed);
  const note = timed('replay');
  const past = new Past(definition, zone, snapshot);
  const { position = null, unrecorded = [] } = snapshot ?? {};
  let [epoch, isFollowed] = [snapshot?.epoch ?? 0, false];
  await whileItGives(clock, ANSWER_MS_MAX, 'the log', async (given) => {
    for await (const batch of log.read(zone, past.seq, position)) {
      given();
      isFollowed = batch.time > end.time;
      if (isFollowed) return past.requireFollowedBy(batch);
      past.apply(batch, end.seq);
      epoch = Math.max(epoch, batch.epoch);
      if (past.seq >= end.seq) break;
    }
  });
  note(past.seq);
  return { past, position, epoch, unrecorded, steps, isFollowed };
}

/** The newest snapshot of both stores that can be used, of two alike the hot one; undefined when there is none. Notes what was tried. */
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
  for (const { source, label } of [...hot, ...cold].sort((one, other) => other.label.seq - one.label.seq)) {
    const note = timed(source);
    const skip = (why: string) => note(`snapshot at seq ${label.seq} is ${why}`);
    const snapshot = await get(source, stores[source].load(label)).catch((error) => skip(`damaged: ${messageOf(error)}`));
    if (!snapshot) continue;
    const state = stateOf(snapshot, definition);
    if (state === undefined) skip(`of version ${snapshot.version}, this is ${definition.version}`);
    // A log that fails here fails the recovery: what only this snapshot has must not be passed over for that.
    else if (await within(clock, ANSWER_MS_MAX, 'the log', isAbandoned(snapshot, log)))
      skip('of an owner whose successor decided otherwise');
    else {
      note(snapshot.seq);
      return { ...snapshot, state };
    }
  }
  return undefined;
}

/**
 * Whether the log went on without what only this snapshot had: a successor came back from an older one and decided anew.
 * A snapshot that carries nothing unrecorded cannot be, because the log had refused an owner without a claim.
 */
async function isAbandoned(snapshot: Snapshot, log: Pick<ZoneLog, 'read'>): Promise<boolean> {
  const first = snapshot.unrecorded[0];
  if (!first) return false;
  for await (const batch of log.read(snapshot.zone, first.firstSeq - 1, snapshot.position)) {
    if (batch.firstSeq > snapshot.seq) return false;
    // Events that it carries may have been lost after it was taken: then what was answered is not what it says.
    if (batch.epoch > snapshot.epoch || batch.loss) return true;
  }
  return false;
}
