import type { WorldEvent, ZoneId } from '@millrace/contracts';
import { type EventBatch, lastSeqOf, messageOf, zoneAddress } from '@millrace/kernel';
import { hashOf, type World, worldZone } from '@millrace/worlds';
import type { Cluster } from './cluster.ts';
import type { Interventions, Told } from './interventions.ts';

/*
 * Compares answers about the past, and restores, with the whole log, including events that retention has dropped: an answer is exact or a refusal.
 */

/** All past states of a zone, by the event before them. */
class Truth {
  readonly #zone: ZoneId;
  readonly #batches: readonly EventBatch[];

  constructor(cluster: Cluster, zone: ZoneId) {
    this.#zone = zone;
    this.#batches = cluster.log.ofZone(zoneAddress(worldZone.kind, zone));
  }

  get hasLosses(): boolean {
    return this.#batches.some(({ loss }) => loss);
  }

  /** The newest event decided up to a time, epoch ms; 0 for none. */
  seqAt(time: number): number {
    const next = this.#batches.findIndex((batch) => batch.time > time);
    const last = this.#batches.at(next < 0 ? -1 : next - 1);
    return next === 0 || !last ? 0 : lastSeqOf(last);
  }

  /** Hashes of the state after events, in ascending order; none for lost or unknown events. */
  hashes(seqs: readonly number[]): Map<number, string> {
    const wanted = new Set(seqs);
    const hashes = new Map<number, string>();
    let state = worldZone.create(this.#zone) as World;
    const note = (seq: number) => wanted.has(seq) && hashes.set(seq, hashOf(state));
    for (const batch of this.#batches) {
      if (batch.loss) {
        state = structuredClone(batch.loss.checkpoint.state) as World;
        note(batch.loss.lastSeq);
      }
      for (const [index, event] of (structuredClone(batch.events) as unknown as WorldEvent[]).entries()) {
        worldZone.evolve(state, event);
        note(batch.firstSeq + index);
      }
    }
    return hashes;
  }
}

/** @param areClocksSet whether the times of events may go back */
export function checkPast(
  cluster: Cluster,
  { told, restored }: Interventions,
  { areClocksSet }: { readonly areClocksSet: boolean },
  mistakes: string[],
): void {
  for (const zone of cluster.zones) {
    const here = told.filter((answer) => answer.zone === zone);
    if (here.length === 0) continue;
    const truth = new Truth(cluster, zone);
    let hashes: Map<number, string>;
    try {
      hashes = truth.hashes(here.map(({ seq }) => seq));
    } catch (error) {
      mistakes.push(`${zone} cannot be replayed: ${messageOf(error)}`);
      continue;
    }
    for (const answer of here) checkTold(answer, truth, hashes, areClocksSet, mistakes);
  }
  for (const { zone, reason, outcome } of restored) {
    const events = cluster.log
      .ofZone(zoneAddress(worldZone.kind, zone))
      .flatMap((batch) => (batch.events as unknown as WorldEvent[]).map((event, index) => ({ event, seq: batch.firstSeq + index })))
      .filter(({ event }) => event.type === 'ZoneRestored' && event.reason === reason);
    const places = events.map(({ seq }) => seq).join(', ') || 'nowhere';
    if (outcome.dryRun && events.length > 0) mistakes.push(`${reason} of ${zone} changed it, at ${places}`);
    if (!outcome.dryRun && outcome.ok && !(events.length === 1 && events[0]?.seq === outcome.seq))
      mistakes.push(`${reason} of ${zone} was confirmed at ${outcome.seq} and is at ${places}`);
  }
}

function checkTold(
  { zone, asked, seq, hash, by }: Told,
  truth: Truth,
  hashes: Map<number, string>,
  areClocksSet: boolean,
  mistakes: string[],
): void {
  const what = `${by} about ${zone} at ${JSON.stringify(asked)}`;
  const due = 'seq' in asked ? asked.seq : truth.seqAt(asked.time);
  if (seq === 0) mistakes.push(`${what} was told of a moment before the record`);
  else if (due !== seq && ('seq' in asked || !areClocksSet)) mistakes.push(`${what} was told of event ${seq}, and ${due} is right`);
  else if (hashes.get(seq) !== hash) mistakes.push(`${what} was told a state that is not what the record says of event ${seq}`);
}

/** Checks that all states in the recorded range are returned when there is no fault. */
export function checkRefusals(
  cluster: Cluster,
  zone: ZoneId,
  range: { readonly from: { seq: number; time: number } | null; readonly to: { seq: number; time: number } | null },
  refused: Interventions['refused'],
  mistakes: string[],
): void {
  const { from, to } = range;
  if (!from || !to || new Truth(cluster, zone).hasLosses) return;
  for (const { asked, why } of refused) {
    const [at, least, most] = 'seq' in asked ? [asked.seq, from.seq, to.seq] : [asked.time, from.time, to.time];
    if (at >= least && at <= most)
      mistakes.push(`zone ${zone} at ${JSON.stringify(asked)} is on record from ${least} to ${most}, and was refused: ${why}`);
  }
}
