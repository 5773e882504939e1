import { join } from 'node:path';

/** Name of the socket in its folder, as PostgreSQL clients derive it from port 5432. */
export const SOCKET = '.s.PGSQL.5432';
/** Maximum length of a socket path, bytes. Linux allows 107, macOS 103. */
const SOCKET_PATH_MAX = 100;

/** Whether the path of a socket in this folder is short enough. */
export function isSocketFolder(folder: string): boolean {
  return Buffer.byteLength(join(folder, SOCKET)) <= SOCKET_PATH_MAX;
}
