import { beforeEach, describe } from 'node:test';
import { systemClock } from '@millrace/base/clock';
import { MemoryGroups, testGroupStore } from './testing/index.ts';

describe('memberships in memory', () => {
  let groups: MemoryGroups;
  beforeEach(() => {
    groups = new MemoryGroups(systemClock);
  });
  testGroupStore(() => ({ beat: (group, beat) => groups.beat(group, beat), leave: (group, member) => groups.leave(group, member) }));
});
