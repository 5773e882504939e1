import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { diskOf, type SpoolDisk } from './spool-disk.ts';
import { SpoolReserve } from './spool-reserve.ts';

let folder = '';
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'millrace-reserve-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

/** A disk that a test fills. It creates a file on a full disk, but gives it no content. */
class FillableDisk implements SpoolDisk {
  isFull = false;
  /** Whether a full disk has no room for another name in the folder, either. */
  isFolderFull = false;
  /** Called before a write to an open file. */
  beforeWrite: () => void = () => {};
  readonly #disk = diskOf(folder);
  list = () => this.#disk.list();
  readText = (name: string) => this.#disk.readText(name);

  open = (name: string) => {
    const isNew = !this.list().includes(name);
    const file = this.#disk.open(name);
    const write: typeof file.write = (bytes, at) => {
      this.beforeWrite();
      if (isNew) this.#requireRoom();
      file.write(bytes, at);
    };
    return { ...file, write };
  };

  remove = (name: string) => {
    this.#disk.remove(name);
    this.isFolderFull = false;
  };

  rename = (from: string, to: string) => {
    if (this.isFolderFull) throw Object.assign(new Error('ENOSPC: no space left on device'), { code: 'ENOSPC' });
    this.#disk.rename(from, to);
  };

  writeText = (name: string, text: string) => {
    this.#disk.writeText(name, this.isFull ? text.slice(0, 2) : text);
    this.#requireRoom();
  };

  #requireRoom(): void {
    if (this.isFull) throw Object.assign(new Error('EDQUOT: disk quota exceeded'), { code: 'EDQUOT' });
  }
}

const textOf = (name: string) => readFileSync(join(folder, name), 'utf8').trim();
const reserved = () => readdirSync(folder).filter((name) => name.startsWith('reserve-'));

/** Writes files until the reserve is used up. @returns their number */
function writeAll(reserve: SpoolReserve): number {
  for (let count = 0; ; count++)
    try {
      reserve.write(`text-${count}`, `content ${count}`);
    } catch {
      return count;
    }
}

describe('the reserve of a spool', () => {
  test('has room for texts on a full disk, and none of them is written in part', () => {
    const disk = new FillableDisk();
    const reserve = new SpoolReserve(disk);
    disk.isFull = true;
    const count = writeAll(reserve);
    assert.equal(count, 32);
    for (let number = 0; number < count; number++) assert.equal(textOf(`text-${number}`), `content ${number}`);
    assert.equal(readdirSync(folder).length, count, 'the last one was not left in part');
    assert.throws(() => reserve.write('more', 'content'), /EDQUOT/);
  });

  test('is complete again when there is space', () => {
    const disk = new FillableDisk();
    const reserve = new SpoolReserve(disk);
    const count = reserved().length;
    disk.isFull = true;
    writeAll(reserve);
    reserve.fill();
    assert.deepEqual(reserved(), []);
    disk.isFull = false;
    reserve.fill();
    assert.equal(reserved().length, count);
  });

  test('is not used while the disk has room, or fails for another reason', () => {
    const disk = new FillableDisk();
    const reserve = new SpoolReserve(disk);
    const before = reserved();
    reserve.write('text', 'content');
    disk.writeText = () => {
      throw new Error('EIO: i/o error');
    };
    assert.throws(() => reserve.write('other', 'content'), /EIO/);
    assert.deepEqual(reserved(), before);
  });

  test('also gives a block to the folder, if that has no room for the name', () => {
    const disk = new FillableDisk();
    const reserve = new SpoolReserve(disk);
    disk.isFull = true;
    disk.isFolderFull = true;
    reserve.write('text', 'content');
    assert.equal(textOf('text'), 'content');
  });

  test('is shared: a process takes no file that another one is creating', () => {
    const [disk, full] = [new FillableDisk(), new FillableDisk()];
    const first = new SpoolReserve(full);
    for (const name of reserved()) rmSync(join(folder, name));
    full.isFull = true;
    let isTaken = false;
    disk.beforeWrite = () => {
      isTaken ||= writeAll(first) > 0;
    };
    new SpoolReserve(disk).fill();
    assert.ok(isTaken);
    for (const name of readdirSync(folder).filter((name) => name.startsWith('text-'))) assert.match(textOf(name), /^content \d+$/);
  });

  test('is created once for all processes, without what one that was killed has left', () => {
    new SpoolReserve(diskOf(folder));
    const before = reserved();
    writeFileSync(join(folder, 'reserve-1.killed.new'), '');
    new SpoolReserve(diskOf(folder));
    assert.deepEqual(reserved(), before);
  });
});
