import {
  closeSync,
  existsSync,
  fstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  readSync,
  renameSync,
  rmSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';

/** An open file in the folder of a spool. */
export interface SpoolFile {
  size(): number;
  read(at: number, length: number): Buffer;
  /** @throws when the disk is full; the file may then have any part of the bytes */
  write(bytes: Buffer, at: number): void;
  close(): void;
}

/** The folder of a spool: in the file system, or in tests one that fails. */
export interface SpoolDisk {
  /** Names of its files; none without the folder. */
  list(): string[];
  /** Opens a file, created if missing, and its folder. */
  open(name: string): SpoolFile;
  remove(name: string): void;
  rename(from: string, to: string): void;
  /** Undefined for a missing file. */
  readText(name: string): string | undefined;
  /** @throws when the disk is full; the file may then have any part of the text */
  writeText(name: string, text: string): void;
}

export function diskOf(folder: string): SpoolDisk {
  const path = (name: string) => join(folder, name);
  const openNew = (name: string) => {
    mkdirSync(folder, { recursive: true });
    return openSync(path(name), 'w+');
  };
  return {
    list: () => (existsSync(folder) ? readdirSync(folder) : []),
    open: (name) => {
      const fd = existsSync(path(name)) ? openSync(path(name), 'r+') : openNew(name);
      return {
        size: () => fstatSync(fd).size,
        read: (at, length) => {
          const bytes = Buffer.allocUnsafe(length);
          return bytes.subarray(0, readSync(fd, bytes, 0, length, at));
        },
        write: (bytes, at) => {
          for (let written = 0; written < bytes.length; ) written += writeSync(fd, bytes, written, bytes.length - written, at + written);
        },
        close: () => closeSync(fd),
      };
    },
    remove: (name) => rmSync(path(name), { force: true }),
    rename: (from, to) => renameSync(path(from), path(to)),
    readText: (name) => (existsSync(path(name)) ? readFileSync(path(name), 'utf8') : undefined),
    writeText: (name, text) => writeFileSync(path(name), text),
  };
}

/** The files of a disk whose names begin with `prefix`, under the rest of their names. */
export function partOf(disk: SpoolDisk, prefix: string): SpoolDisk {
  return {
    list: () => disk.list().flatMap((name) => (name.startsWith(prefix) ? name.slice(prefix.length) : [])),
    open: (name) => disk.open(prefix + name),
    remove: (name) => disk.remove(prefix + name),
    rename: (from, to) => disk.rename(prefix + from, prefix + to),
    readText: (name) => disk.readText(prefix + name),
    writeText: (name, text) => disk.writeText(prefix + name, text),
  };
}
