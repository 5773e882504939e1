import type { HeldPartition } from './membership.ts';

/*
 * Who has which partition of a consumer group: decisions without input or output. A member keeps its lease by heartbeats. A partition goes to another member
 * only after its owner has released it, or the lease of its owner has ended.
 */

interface MemberLease {
  /** End of the lease by the clock of the store, epoch ms. */
  readonly until: number;
  /** Number of partitions that the member knows. Others may know more, while a log with more partitions is introduced. */
  readonly partitions: number;
}

interface PartitionOwner {
  readonly owner: string | null;
  /** Generation in which it got the partition, or lost it if there is none. */
  readonly generation: number;
}

export interface GroupState {
  /** Number of changes of owners. */
  readonly generation: number;
  readonly leases: Readonly<Record<string, MemberLease>>;
  readonly partitions: readonly PartitionOwner[];
}

export const EMPTY_GROUP: GroupState = { generation: 0, leases: {}, partitions: [] };

export interface Heartbeat {
  /** Unique for each time that a process joins. */
  readonly member: string;
  readonly leaseMs: number;
  /** Number of partitions that the member knows. */
  readonly partitions: number;
  /** What the member has given up since. Repeats have no effect. */
  readonly released: readonly HeldPartition[];
  /** Members whose names begin with this have ended: earlier processes in the place of this one. */
  readonly replaces?: string;
}

/** What a member learns from its heartbeat. */
export interface HeartbeatReply {
  readonly generation: number;
  readonly held: readonly HeldPartition[];
  /** Those of `held` that the member must release. */
  readonly unwanted: readonly number[];
}

/**
 * Renews the lease of a member, takes the partitions of members whose leases have ended, and gives free partitions to the members with the fewest.
 * @param now time of the store, epoch ms
 */
export function heartbeat(
  before: GroupState,
  now: number,
  beat: Heartbeat,
): { readonly state: GroupState; readonly reply: HeartbeatReply } {
  const { replaces } = beat;
  const hasEnded = (member: string) => replaces !== undefined && member.startsWith(replaces);
  const others = Object.entries(before.leases).filter(([member, { until }]) => member !== beat.member && until > now && !hasEnded(member));
  const leases = { ...Object.fromEntries(others), [beat.member]: { until: now + beat.leaseMs, partitions: beat.partitions } };
  const isReleased = ({ owner, generation }: PartitionOwner, partition: number) =>
    owner === beat.member && beat.released.some((one) => one.partition === partition && one.generation === generation);
  const state = reassigned(before, leases, isReleased);
  const targets = targetsOf(state);
  const held = state.partitions.flatMap(({ owner, generation }, partition) => (owner === beat.member ? [{ partition, generation }] : []));
  const unwanted = held.map(({ partition }) => partition).filter((partition) => targets[partition] !== beat.member);
  return { state, reply: { generation: state.generation, held, unwanted } };
}

/** The group after a member has left. */
export function withoutMember(before: GroupState, member: string): GroupState {
  const { [member]: _left, ...leases } = before.leases;
  return reassigned(before, leases, () => false);
}

/** Gives the partitions that have no living owner, or were released, to those that are to have them. */
function reassigned(
  before: GroupState,
  leases: GroupState['leases'],
  isReleased: (owner: PartitionOwner, partition: number) => boolean,
): GroupState {
  const count = Math.max(before.partitions.length, ...Object.values(leases).map(({ partitions }) => partitions));
  const generation = before.generation + 1;
  const free = Array.from({ length: count }, (_none, partition): PartitionOwner => {
    const known = before.partitions[partition];
    if (!known) return { owner: null, generation };
    const isFreed = known.owner !== null && (!leases[known.owner] || isReleased(known, partition));
    return isFreed ? { owner: null, generation } : known;
  });
  const targets = targetsOf({ leases, partitions: free });
  const partitions = free.map((one, partition) => {
    const target = targets[partition] ?? null;
    return one.owner === null && target !== null ? { owner: target, generation } : one;
  });
  const isChanged = partitions.some((one, partition) => one !== before.partitions[partition]);
  return { generation: isChanged ? generation : before.generation, leases, partitions };
}

/**
 * The member that is to have each partition; null if no member knows the partition. The numbers of two members differ by one at most, unless a member does
 * not know all partitions; and as few partitions as possible change their owner.
 */
export function targetsOf({ leases, partitions }: Pick<GroupState, 'leases' | 'partitions'>): (string | null)[] {
  const quotas = quotasOf({ leases, partitions });
  const counts = new Map([...quotas.keys()].map((member) => [member, 0]));
  const take = (member: string) => void counts.set(member, (counts.get(member) ?? 0) + 1);
  const targets = partitions.map(({ owner }): string | null => {
    if (owner === null || (counts.get(owner) ?? 0) >= (quotas.get(owner) ?? 0)) return null;
    take(owner);
    return owner;
  });
  for (const [partition, target] of targets.entries()) {
    if (target !== null) continue;
    const able = [...counts.keys()].filter((member) => partition < (leases[member]?.partitions ?? 0));
    const least = able.reduce<string | null>(
      (best, member) => (best === null || room(member, quotas, counts) > room(best, quotas, counts) ? member : best),
      null,
    );
    targets[partition] = least;
    if (least !== null) take(least);
  }
  return targets;
}

function room(member: string, quotas: ReadonlyMap<string, number>, counts: ReadonlyMap<string, number>): number {
  return (quotas.get(member) ?? 0) - (counts.get(member) ?? 0);
}

/** Number of partitions that each member is to have. Those that have the most now get the larger numbers, so that fewer partitions move. */
function quotasOf({ leases, partitions }: Pick<GroupState, 'leases' | 'partitions'>): Map<string, number> {
  const counts = new Map(Object.keys(leases).map((member) => [member, 0]));
  for (const { owner } of partitions) if (owner !== null && counts.has(owner)) counts.set(owner, (counts.get(owner) ?? 0) + 1);
  const members = [...counts].sort(([a, countOfA], [b, countOfB]) => countOfB - countOfA || (a < b ? -1 : 1));
  // Of an earlier topic of this name, there may be more partitions than any member knows.
  const known = Math.min(partitions.length, Math.max(0, ...Object.values(leases).map((lease) => lease.partitions)));
  const least = Math.floor(known / members.length);
  const larger = known % members.length;
  return new Map(members.map(([member], index) => [member, index < larger ? least + 1 : least]));
}
