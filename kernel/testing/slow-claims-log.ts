import { ClaimLost } from '../batch.ts';
import type { ShardClaim, ShardWriter } from '../ports.ts';
import { MemoryLog } from './memory.ts';

/** The steps of a claim: it reads who the owner is, writes the claim, and gets the response. */
export type ClaimStep = 'read' | 'write' | 'response';

/** A log whose claims stop before a step until the test lets them go on. A claim is valid only if the owner that it has read is still the owner. */
export class SlowClaimsLog extends MemoryLog {
  /** Before which step the claims stop that begin from now on; null: they do not. */
  stopsBefore: ClaimStep | null = null;
  /** Claims that have stopped, oldest first; each goes on when it is called. */
  readonly stopped: (() => void)[] = [];
  #claims = 0;

  override async own(shard: number, { onPrevious, lease }: ShardClaim): Promise<ShardWriter> {
    const { stopsBefore } = this;
    const mine = `claim ${++this.#claims}`;
    const step = (name: ClaimStep) => (name === stopsBefore ? new Promise<void>((resolve) => void this.stopped.push(resolve)) : null);
    await step('read');
    const before = this.ownerOf(shard);
    if (lease.leftMs() <= 0) throw new ClaimLost(shard, 'its lease has ended');
    onPrevious(mine, before.owner);
    await step('write');
    if (this.ownerOf(shard).owner !== before.owner) throw new ClaimLost(shard, 'another claim came first');
    const writer = this.take(shard, { epoch: before.epoch + 1, owner: mine });
    await step('response');
    return writer;
  }
}
