export { appendTo, ownShardOf } from './append-to.ts';
export { type JournalUnderTest, journalContract, seqsOf } from './journal-contract.ts';
export { MemoryConsumers } from './memory-consumers.ts';
