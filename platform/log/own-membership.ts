import type { GroupPositions } from './group-positions.ts';
import type { GroupMember, GroupMembership, JoinedGroup } from './membership.ts';

interface OwnParts {
  readonly membership: GroupMembership;
  readonly group: string;
  readonly positions: GroupPositions;
  readonly reasonOf: (error: unknown) => string;
  /** Called after partitions were assigned, revoked for another process, or given up by this one. */
  readonly onChanged: (partitions: readonly number[], change: 'assigned' | 'revoked' | 'given up') => void;
}

/** The membership of this process in a consumer group. A revocation waits for the work that runs. */
export class OwnMembership {
  readonly #parts: OwnParts;
  readonly #running = new Set<Promise<unknown>>();
  #joined: JoinedGroup | null = null;
  #isLeaving = false;
  /** Reason why it could not be renewed. */
  failure: string | null = null;

  constructor(parts: OwnParts) {
    this.#parts = parts;
  }

  get isJoined(): boolean {
    return this.#joined !== null;
  }

  /** The partitions of this process with the generations of their assignments, where offsets are known. Undefined if no process shares the group. */
  get held(): ReadonlyMap<number, number> | undefined {
    return this.#parts.membership.isShared ? this.#parts.positions.known() : undefined;
  }

  /** Whether its lease has ended because it could not be renewed: it reads nothing, and perhaps no other process does. */
  get isLapsed(): boolean {
    return this.failure !== null && this.#parts.positions.partitions.length === 0;
  }

  /** Whether this process may write for a partition without offsets. The group need not run for that. */
  mayWrite(partition: number): boolean {
    return !this.#parts.membership.isShared || !this.isJoined || this.#parts.positions.has(partition);
  }

  /** Whether a partition counts in the stats of this process. While it has none because it does not run or its lease has ended, all do. */
  isCounted(partition: number): boolean {
    return this.isLapsed || this.mayWrite(partition);
  }

  /** Resolves when the partitions that are free are assigned. No effect after it has joined. */
  async join(): Promise<void> {
    const { membership, group } = this.#parts;
    this.#joined ??= await membership.join(group, this.#member);
  }

  async leave(): Promise<void> {
    this.#isLeaving = true;
    await this.#joined?.leave();
    this.#isLeaving = false;
    this.#joined = null;
    this.failure = null;
  }

  /** @returns what the work returns; a revocation waits for it */
  async doing<Result>(work: Promise<Result>): Promise<Result> {
    this.#running.add(work);
    try {
      return await work;
    } finally {
      this.#running.delete(work);
    }
  }

  readonly #member: GroupMember = {
    assigned: async (partitions, generation) => {
      this.#parts.positions.assign(partitions, generation);
      this.#parts.onChanged(partitions, 'assigned');
    },
    revoked: async (partitions) => {
      this.#parts.positions.revoke(partitions);
      this.#parts.onChanged(partitions, this.#isLeaving || this.failure !== null ? 'given up' : 'revoked');
      await Promise.allSettled(this.#running);
    },
    failed: (error) => {
      this.failure = error === null ? null : `the partitions of this process cannot be renewed: ${this.#parts.reasonOf(error)}`;
    },
  };
}
