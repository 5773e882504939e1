import { randomUUID } from 'node:crypto';
import type { SpoolDisk } from './spool-disk.ts';

/** Files of the reserve: so many claims can be in progress on a full disk, or have spools of predecessors that are not drained. */
const FILES = 32;
/** Size of a file: a block of usual file systems, bytes. */
const FILE_BYTES = 4_096;
const PREFIX = 'reserve-';
/** End of the names of files that are not complete. */
const UNFINISHED = '.new';
const FULL: ReadonlySet<unknown> = new Set(['ENOSPC', 'EDQUOT']);

/**
 * Space for short texts on a full disk: files of one block each, which are renamed and written over. No block is freed on the way, so no other program can
 * take it. All processes with this folder share the files: each rename succeeds for one of them.
 */
export class SpoolReserve {
  readonly #disk: SpoolDisk;
  /** Keeps processes that create the same file apart. */
  readonly #process = randomUUID();

  constructor(disk: SpoolDisk) {
    this.#disk = disk;
    // Of a process that ended meanwhile. One that still creates its file fails, and tries again later.
    for (const name of disk.list()) if (name.startsWith(PREFIX) && name.endsWith(UNFINISHED)) this.#tryToRemove(name);
    this.fill();
  }

  /** Creates the files that are missing, as far as the disk has room. Never throws. */
  fill(): void {
    try {
      const names = new Set(this.#disk.list());
      for (let number = 1; number <= FILES; number++) if (!names.has(nameOf(number))) this.#create(nameOf(number));
    } catch {
      // The disk is full or fails. The next call tries again.
    }
  }

  /**
   * Writes a text to a file, also when the disk is full. It may have spaces after it.
   * @param text at most 4 KiB
   * @throws when the disk fails, or is full and no file of the reserve is left; then the file does not exist
   */
  write(name: string, text: string): void {
    try {
      this.#disk.writeText(name, text);
    } catch (error) {
      if (isFull(error) && this.#writeOver(name, text)) return;
      this.#tryToRemove(name);
      throw error;
    }
  }

  /** @returns false when no file of the reserve is left */
  #writeOver(name: string, text: string): boolean {
    const names = this.#disk.list().filter((one) => one.startsWith(PREFIX) && !one.endsWith(UNFINISHED));
    for (const reserved of names) {
      try {
        this.#disk.rename(reserved, name);
        this.#fillIn(name, text);
        return true;
      } catch (error) {
        // Another process has taken it; or the folder needs a block for the name, or the file system one for the new content, and gets this one.
        if (!isFull(error)) continue;
        this.#tryToRemove(reserved);
        this.#tryToRemove(name);
      }
    }
    return false;
  }

  #create(name: string): void {
    const unfinished = `${name}.${this.#process}${UNFINISHED}`;
    try {
      this.#fillIn(unfinished, ' '.repeat(FILE_BYTES));
      this.#disk.rename(unfinished, name);
    } catch (error) {
      this.#tryToRemove(unfinished);
      throw error;
    }
  }

  /** Writes a text at the beginning of a file. */
  #fillIn(name: string, text: string): void {
    const file = this.#disk.open(name);
    try {
      file.write(Buffer.from(text), 0);
    } finally {
      file.close();
    }
  }

  #tryToRemove(name: string): void {
    try {
      this.#disk.remove(name);
    } catch {
      // It takes a block; the next start removes it.
    }
  }
}

function nameOf(number: number): string {
  return `${PREFIX}${number}`;
}

function isFull(error: unknown): boolean {
  return FULL.has((error as NodeJS.ErrnoException).code);
}
