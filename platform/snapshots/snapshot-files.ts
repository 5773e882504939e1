import { mkdir, open, readdir, readFile, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { zstdCompress, zstdDecompress } from 'node:zlib';

/** Where cold snapshots lie: the file system, or in tests one that fails. */
export interface SnapshotFiles {
  compress(content: Buffer): Promise<Buffer>;
  decompress(content: Buffer): Promise<Buffer>;
  /** Names of a folder’s files; none where there is no such folder. */
  list(folder: string): Promise<string[]>;
  read(path: string): Promise<Buffer>;
  /** Whole or not at all, also in a crash. */
  write(folder: string, name: string, content: Buffer): Promise<void>;
  remove(path: string): Promise<void>;
}

export const zstdFiles: SnapshotFiles = {
  compress: promisify(zstdCompress),
  decompress: promisify(zstdDecompress),
  list: async (folder) => {
    try {
      return await readdir(folder);
    } catch (error) {
      if ((error as { code?: string }).code === 'ENOENT') return [];
      throw error;
    }
  },
  read: (path) => readFile(path),
  write: async (folder, name, content) => {
    await mkdir(folder, { recursive: true });
    const path = join(folder, name);
    const aside = `${path}.part`;
    const file = await open(aside, 'w');
    try {
      await file.writeFile(content);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(aside, path);
  },
  remove: (path) => rm(path, { force: true }),
};
