import type { Clock } from '@millrace/kernel';
import { EMPTY_GROUP, type GroupState, type Heartbeat, type HeartbeatReply, heartbeat, withoutMember } from '../group-state.ts';
import type { GroupStore } from '../leased-membership.ts';

/** Memberships of consumer groups in memory. */
export class MemoryGroups implements GroupStore {
  readonly #clock: Pick<Clock, 'now'>;
  readonly #groups = new Map<string, GroupState>();

  constructor(clock: Pick<Clock, 'now'>) {
    this.#clock = clock;
  }

  stateOf(group: string): GroupState {
    return this.#groups.get(group) ?? EMPTY_GROUP;
  }

  async beat(group: string, beat: Heartbeat): Promise<HeartbeatReply> {
    const { state, reply } = heartbeat(this.stateOf(group), this.#clock.now(), beat);
    this.#groups.set(group, state);
    return reply;
  }

  async leave(group: string, member: string): Promise<void> {
    this.#groups.set(group, withoutMember(this.stateOf(group), member));
  }
}
