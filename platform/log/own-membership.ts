import type { GroupPositions } from './group-positions.ts';
import type { GroupMember, GroupMembership, JoinedGroup } from './membership.ts';

interface OwnParts {
  readonly membership: GroupMembership;
  readonly group: string;
  readonly positions: GroupPositions;
  readonly reasonOf: (error: unknown) => string;
  /** Called after partitions were assigned or revoked. */
  readonly onChanged: (partitions: readonly number[], isAssigned: boolean) => void;
}

/** The membership of this process in a consumer group. A revocation waits for the work that runs. */
export class OwnMembership {
  readonly #parts: OwnParts;
  readonly #running = new Set<Promise<unknown>>();
  #joined: JoinedGroup | null = null;
  /** Whether it has joined since it was created. */
  #hasJoined = false;
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

  /** Whether this process may write for a partition without offsets. A group that is not shared need not run for that. */
  mayWrite(partition: number): boolean {
    return !this.#parts.membership.isShared || this.#parts.positions.has(partition);
  }

  /** Whether a partition counts in the stats of this process. Before it has joined, all do. */
  isCounted(partition: number): boolean {
    return !this.#hasJoined || this.mayWrite(partition);
  }

  /** Resolves when the partitions that are free are assigned. No effect after it has joined. */
  async join(): Promise<void> {
    const { membership, group } = this.#parts;
    this.#joined ??= await membership.join(group, this.#member);
    this.#hasJoined = true;
  }

  async leave(): Promise<void> {
    await this.#joined?.leave();
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
      this.#parts.onChanged(partitions, true);
    },
    revoked: async (partitions) => {
      this.#parts.positions.revoke(partitions);
      this.#parts.onChanged(partitions, false);
      await Promise.allSettled(this.#running);
    },
    failed: (error) => {
      this.failure = error === null ? null : `the partitions of this process cannot be renewed: ${this.#parts.reasonOf(error)}`;
    },
  };
}
