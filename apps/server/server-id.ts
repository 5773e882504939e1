import { randomUUID } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const FILE = 'server-id';

/** What the server of a data folder is called among several; made at its first start, and moved with the folder. */
export function serverId(data: string): string {
  const path = join(data, FILE);
  if (!existsSync(path)) writeFileSync(path, randomUUID(), { flag: 'wx' });
  return readFileSync(path, 'utf8');
}
