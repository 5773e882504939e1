export { appendTo, ownShardOf } from './append-to.ts';
export { testGroupStore } from './group-store-contract.ts';
export { type JournalUnderTest, journalContract, seqsOf } from './journal-contract.ts';
export { MemoryConsumers } from './memory-consumers.ts';
export { MemoryGroups } from './memory-groups.ts';
