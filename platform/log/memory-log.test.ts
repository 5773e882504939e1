import { MemoryLog } from '@millrace/kernel/testing';
import { journalContract } from './testing/journal-contract.ts';

/** The log of the tests of the kernel. */
let log = new MemoryLog();

journalContract('the log in memory', {
  open: async () => log,
  close: async () => {},
  clean: async () => {
    log = new MemoryLog();
  },
});
