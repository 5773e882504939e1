import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { eventLogContract } from './event-log.contract.ts';
import { openLmdbLog } from './lmdb-log.ts';

let folder = mkdtempSync(join(tmpdir(), 'millrace-log-'));

eventLogContract('LMDB', {
  open: async () => openLmdbLog(folder),
  clean: async () => {
    rmSync(folder, { recursive: true, force: true });
    folder = mkdtempSync(join(tmpdir(), 'millrace-log-'));
  },
});
