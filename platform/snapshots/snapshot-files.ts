import { mkdir, open, readdir, readFile, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { zstdCompress, zstdDecompress } from 'node:zlib';

/** File operations for cold snapshots. Tests use an implementation that fails. */
export interface SnapshotFiles {
  compress(content: Buffer): Promise<Buffer>;
  decompress(content: Buffer): Promise<Buffer>;
  /** File names of a folder. Empty when the folder does not exist. */
  list(folder: string): Promise<string[]>;
  read(path: string): Promise<Buffer>;
  /** Writes a file atomically, also in case of a crash. */
  write(folder: string, name: string, content: Buffer): Promise<void>;
  remove(path: string): Promise<void>;
}

/** Files on the local file system, compressed with zstd. */
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
    const temporary = `${path}.part`;
    try {
      const file = await open(temporary, 'w');
      try {
        await file.writeFile(content);
        await file.sync();
      } finally {
        await file.close();
      }
      await rename(temporary, path);
    } catch (error) {
      // On a full disk, each attempt would leave another part of a file.
      await rm(temporary, { force: true }).catch(() => {});
      throw error;
    }
  },
  remove: (path) => rm(path, { force: true }),
};
