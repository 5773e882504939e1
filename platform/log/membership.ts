/** A process that runs a consumer group. */
export interface GroupMember {
  /**
   * The member reads these partitions from now on, besides those that it has.
   * @param generation of the assignment, from 1. It grows with every change in the group. Writes for these partitions are refused when they carry a generation
   *   after which the partition was assigned again
   */
  assigned(partitions: readonly number[], generation: number): Promise<void>;
  /**
   * The member begins nothing more for these partitions. Resolves when what it had begun is done, or given up. Another member gets them then; or earlier, if
   * the lease of this one has ended.
   */
  revoked(partitions: readonly number[]): Promise<void>;
  /** Why the membership could not be renewed; null when it was. Partitions are revoked only when the lease ends. */
  failed(error: unknown): void;
}

/** Divides the partitions of a log among the processes that run a group. */
export interface GroupMembership {
  /**
   * Whether processes may share the group. Then a partition may belong to another process, and writes to the registry of the log carry the generation of
   * the assignment.
   */
  readonly isShared: boolean;
  /** Resolves when the partitions that are free now are assigned. @throws when the membership cannot be stored; the member has joined nothing then */
  join(group: string, member: GroupMember): Promise<JoinedGroup>;
}

export interface JoinedGroup {
  /** Gives all partitions up. Never rejects: what the store does not learn, the end of the lease brings about. */
  leave(): Promise<void>;
}

/** A partition that a member has, and the generation in which it got it. */
export interface HeldPartition {
  readonly partition: number;
  readonly generation: number;
}

/** A write of a former owner of a partition: it has been assigned again since. Nothing was written. */
export class StaleGeneration extends Error {
  constructor(group: string, { partition, generation }: HeldPartition, newest: number) {
    super(
      `partition ${partition} of consumer group ${group} was assigned again in generation ${newest}; this process had it in generation ${generation}`,
    );
    this.name = 'StaleGeneration';
  }
}

/** The only process of a group: it has all partitions, in generation 1, until it stops. */
export function soleMembership(partitions: number): GroupMembership {
  return {
    isShared: false,
    join: async (_group, member) => {
      await member.assigned([...Array(partitions).keys()], 1);
      return { leave: async () => {} };
    },
  };
}
