/** Who leads a partition, as a broker knows it. */
export interface KnownLeader {
  readonly partitionIndex: number;
  readonly leaderId: number;
  readonly leaderEpoch: number;
  readonly replicaNodes: readonly number[];
}

/**
 * The leader of each partition with the newest epoch that any of the brokers knows. Leaves out partitions of which no majority of the replicas has told what
 * it knows: what readers have read was confirmed by such a majority, so one of them would know of a newer leader.
 */
export function newestLeaders<Leader extends KnownLeader>(
  told: readonly { readonly nodeId: number; readonly partitions: readonly Leader[] }[],
): Leader[] {
  const newest = new Map<number, Leader>();
  for (const leader of told.flatMap(({ partitions }) => partitions)) {
    const { leaderEpoch = Number.NEGATIVE_INFINITY } = newest.get(leader.partitionIndex) ?? {};
    if (leader.leaderEpoch > leaderEpoch) newest.set(leader.partitionIndex, leader);
  }
  const hasTold = (node: number, partition: number) =>
    told.some(({ nodeId, partitions }) => nodeId === node && partitions.some(({ partitionIndex }) => partitionIndex === partition));
  return [...newest.values()].filter(
    ({ partitionIndex, replicaNodes }) => replicaNodes.filter((node) => hasTold(node, partitionIndex)).length > replicaNodes.length / 2,
  );
}
