import { openSync } from 'node:fs';
import { join } from 'node:path';
import { openShared } from './open-shared.ts';

/* Reads the data file of a store, or opens the store, on request of open-shared.test.ts. */

const [folder = ''] = process.argv.slice(2);

process.on('message', (order: 'read' | 'open') => {
  if (order === 'read') openSync(join(folder, 'data.mdb'), 'r+');
  else openShared(folder).openDB({ name: 'own' });
  process.send?.('done');
});
