import { type Clock, within } from '@millrace/kernel';
import type { Heartbeat, HeartbeatReply } from './group-state.ts';
import type { GroupMember, GroupMembership, HeldPartition, JoinedGroup } from './membership.ts';

/** Time between two heartbeats, ms. */
const BEAT_MS = 1_000;
/** Duration of a lease, ms: what a process that was killed had is read by others after this time. */
const LEASE_MS = 5_000;
/** Time limit of a heartbeat, ms. */
const BEAT_MS_MAX = 2_000;
/** Time limits of a leave: for a heartbeat that runs, and for the leave itself, ms. A store that does not respond must not block a stop. */
const LEAVE_MS_MAX = 1_000;

/** Where the state of the groups is. Each call is one transaction. */
export interface GroupStore {
  beat(group: string, beat: Heartbeat): Promise<HeartbeatReply>;
  leave(group: string, member: string): Promise<void>;
}

export interface LeasedParts {
  readonly store: GroupStore;
  readonly clock: Clock;
  /** Number of partitions of the log. */
  readonly partitions: number;
  /** Gives a name that no other member has or had. */
  readonly newMember: () => string;
  /**
   * Where only one process can be at a time, such as a data folder. One that begins there takes the partitions of those that were there before it, without
   * waiting for the end of their leases. Default: no process replaces another one.
   */
  readonly place?: string;
}

/** Processes share the partitions of a group by leases in a store. Time of the store decides when a lease ends. */
export class LeasedMembership implements GroupMembership {
  readonly isShared = true;
  readonly #parts: LeasedParts;
  /** By group: the name of a member whose first heartbeat failed. It may have taken effect. */
  readonly #unknown = new Map<string, string>();

  constructor(parts: LeasedParts) {
    this.#parts = parts;
  }

  async join(group: string, member: GroupMember): Promise<JoinedGroup> {
    const { place, newMember } = this.#parts;
    const name = this.#unknown.get(group) ?? `${place === undefined ? '' : `${place}#`}${newMember()}`;
    this.#unknown.set(group, name);
    const joined = new LeasedMember(this.#parts, group, name, member);
    await joined.begin();
    this.#unknown.delete(group);
    return joined;
  }
}

class LeasedMember implements JoinedGroup {
  readonly #parts: LeasedParts;
  readonly #group: string;
  readonly #name: string;
  readonly #member: GroupMember;
  /** By partition that the member reads, the generation. */
  readonly #has = new Map<number, number>();
  /** Partitions that the member is giving up, and those that it has given up and the store does not know that yet. */
  #ending: HeldPartition[] = [];
  #released: HeldPartition[] = [];
  /** Revocations that have not ended. */
  readonly #revoking = new Set<Promise<void>>();
  #beating: Promise<void> | null = null;
  #isDue = false;
  #hasLeft = false;
  #cancelBeat = () => {};
  #cancelEnd = () => {};

  constructor(parts: LeasedParts, group: string, name: string, member: GroupMember) {
    this.#parts = parts;
    this.#group = group;
    this.#name = name;
    this.#member = member;
  }

  /** @throws when the first heartbeat fails */
  async begin(): Promise<void> {
    const { place } = this.#parts;
    // Only at first: a process that begins in the same place later replaces this one.
    await this.#beat(place === undefined ? {} : { replaces: `${place}#` });
    this.#beatAfter(BEAT_MS);
  }

  async leave(): Promise<void> {
    const { clock, store } = this.#parts;
    this.#hasLeft = true;
    this.#cancelBeat();
    this.#cancelEnd();
    // A heartbeat that takes effect after the leave would be one of a member that does not exist.
    await within(clock, LEAVE_MS_MAX, 'the heartbeat', this.#beating ?? Promise.resolve()).catch(() => {});
    void this.#revokeAll();
    await Promise.all(this.#revoking);
    await within(clock, LEAVE_MS_MAX, 'the leave', store.leave(this.#group, this.#name)).catch(() => {});
  }

  #beatAfter(ms: number): void {
    this.#cancelBeat();
    if (!this.#hasLeft) this.#cancelBeat = this.#parts.clock.after(ms, () => this.#beatNow());
  }

  #beatNow(): void {
    this.#isDue = this.#beating !== null;
    if (this.#beating || this.#hasLeft) return;
    const report = (error: unknown) => this.#hasLeft || this.#member.failed(error);
    this.#beating = this.#beat()
      .then(
        () => void report(null),
        (error) => void report(error),
      )
      .finally(() => {
        this.#beating = null;
        this.#beatAfter(this.#isDue ? 0 : BEAT_MS);
      });
  }

  async #beat(first: Pick<Heartbeat, 'replaces'> = {}): Promise<void> {
    const { store, clock, partitions } = this.#parts;
    const sentAt = clock.elapsed();
    const released = this.#released;
    const beat = { member: this.#name, leaseMs: LEASE_MS, partitions, released, ...first };
    const reply = await within(clock, BEAT_MS_MAX, `the membership of ${this.#group}`, store.beat(this.#group, beat));
    if (this.#hasLeft) return;
    const leftMs = sentAt + LEASE_MS - clock.elapsed();
    if (leftMs <= 0) throw new Error(`the lease of this process in the group ${this.#group} had ended when the reply arrived`);
    this.#released = this.#released.filter((one) => !released.includes(one));
    this.#cancelEnd();
    this.#cancelEnd = clock.after(leftMs, () => void this.#revokeAll());
    await this.#adopt(reply);
  }

  async #adopt({ held, unwanted }: HeartbeatReply): Promise<void> {
    const now = new Map(held.map(({ partition, generation }) => [partition, generation]));
    const lost = [...this.#has].filter(([partition, generation]) => now.get(partition) !== generation);
    if (lost.length > 0) void this.#revoke(lost.map(([partition]) => partition));
    const isGivenUp = (one: HeldPartition) => [...this.#ending, ...this.#released].some((other) => isSame(one, other));
    const mine = held.filter((one) => !isGivenUp(one));
    const toRelease = mine.filter(({ partition }) => unwanted.includes(partition));
    if (toRelease.length > 0) this.#release(toRelease);
    const gained = mine.filter(({ partition }) => !unwanted.includes(partition) && !this.#has.has(partition));
    for (const generation of new Set(gained.map((one) => one.generation))) {
      const partitions = gained.filter((one) => one.generation === generation).map(({ partition }) => partition);
      for (const partition of partitions) this.#has.set(partition, generation);
      await this.#member.assigned(partitions, generation);
    }
  }

  /** Tells the store when the member has given the partitions up. */
  #release(held: readonly HeldPartition[]): void {
    this.#ending = [...this.#ending, ...held];
    const had = held.map(({ partition }) => partition).filter((partition) => this.#has.has(partition));
    void this.#revoke(had);
    // Also those from the end of an earlier lease.
    void Promise.all(this.#revoking).then(() => {
      this.#ending = this.#ending.filter((one) => !held.includes(one));
      this.#released = [...this.#released, ...held];
      // What it did not read can wait for the next heartbeat.
      if (had.length > 0) this.#beatNow();
    });
  }

  #revokeAll(): Promise<void> {
    return this.#revoke([...this.#has.keys()]);
  }

  async #revoke(partitions: readonly number[]): Promise<void> {
    if (partitions.length === 0) return;
    for (const partition of partitions) this.#has.delete(partition);
    const revoked = this.#member.revoked(partitions).catch((error) => this.#member.failed(error));
    this.#revoking.add(revoked);
    await revoked;
    this.#revoking.delete(revoked);
  }
}

function isSame(one: HeldPartition, other: HeldPartition): boolean {
  return one.partition === other.partition && one.generation === other.generation;
}
