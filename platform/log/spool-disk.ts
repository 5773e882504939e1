import {
  closeSync,
  existsSync,
  fstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  readSync,
  rmSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';

/** A file of a spool’s folder, held open. */
export interface SpoolFile {
  size(): number;
  read(at: number, length: number): Buffer;
  /** @throws when there is no room; then nothing is said of what was written */
  write(bytes: Buffer, at: number): void;
  close(): void;
}

/** The folder a spool lives in: the file system, or in tests one that fails. */
export interface SpoolDisk {
  /** Names of its files; the folder is made if missing. */
  list(): string[];
  /** Opens a file, made if missing. */
  open(name: string): SpoolFile;
  remove(name: string): void;
  /** Undefined where there is no such file. */
  readText(name: string): string | undefined;
  writeText(name: string, text: string): void;
}

export function diskOf(folder: string): SpoolDisk {
  const path = (name: string) => join(folder, name);
  return {
    list: () => {
      mkdirSync(folder, { recursive: true });
      return readdirSync(folder);
    },
    open: (name) => {
      const fd = openSync(path(name), existsSync(path(name)) ? 'r+' : 'w+');
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
    readText: (name) => (existsSync(path(name)) ? readFileSync(path(name), 'utf8') : undefined),
    writeText: (name, text) => writeFileSync(path(name), text),
  };
}
