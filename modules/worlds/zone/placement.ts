import type { WorldPlan } from '@millrace/contracts';
import { keyOf } from '@millrace/kernel';
import type { ShardPlacement } from '@millrace/log';

/**
 * Each zone of a world has a shard of its own, so that a zone moves to another host without the others. The numbers stay the same when the world gets more
 * columns or rows: those of a square of n × n zones are the first n².
 */
export const WORLD_PLACEMENT: ShardPlacement = {
  name: 'by world zone',
  shardOf: (zone) => {
    const [column = 0, row = 0] = keyOf(zone).split('-').map(Number);
    return column < row ? row * row + column : column * column + column + row;
  },
};

/** Number of shards with which each zone of a world has its own. */
export function shardsOf({ columns, rows }: Pick<WorldPlan, 'columns' | 'rows'>): number {
  return Math.max(columns, rows) ** 2;
}
