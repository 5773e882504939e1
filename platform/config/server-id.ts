import { randomBytes } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const FILE = 'server-id';
/** Enough to tell a few servers apart. */
const ID_BYTES = 4;

/** What the server of a data folder is called among several; made at its first start, and moved with the folder. */
export function serverId(data: string): string {
  const path = join(data, FILE);
  if (!existsSync(path)) writeFileSync(path, randomBytes(ID_BYTES).toString('hex'), { flag: 'wx' });
  return readFileSync(path, 'utf8');
}
