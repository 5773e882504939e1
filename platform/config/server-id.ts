import { randomBytes } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const FILE = 'server-id';
/** Enough bits for a few servers. */
const ID_BYTES = 4;

/** Id of the server of a data folder, unique in the installation. Created at the first start and stored in the folder. */
export function serverId(data: string): string {
  const path = join(data, FILE);
  if (!existsSync(path)) writeFileSync(path, randomBytes(ID_BYTES).toString('hex'), { flag: 'wx' });
  return readFileSync(path, 'utf8');
}
