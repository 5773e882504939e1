import { closeSync, fstatSync, openSync, readSync } from 'node:fs';
import { bootId } from './boot-id.ts';

/*
 * Reads the pages of an LMDB file (lmdb 3.5, data version 2: `dependencies/lmdb/libraries/liblmdb/mdb.c` in that package) without mapping it. LMDB does
 * not check the pages that it maps: a missing or damaged page crashes the process with SIGBUS or SIGSEGV. This code checks all values before use.
 */

const MAGIC = 0xbeefc0de;
const DATA_VERSION = 2;
const PAGE_BYTES_MIN = 512;
const PAGE_BYTES_MAX = 65_536;
/** Page number, transaction, padding, flags, bounds of the free space. */
const HEADER_BYTES = 24;
const NODE_BYTES = 8;
/** Of the description of a tree: flags, depth, counts, root. */
const TREE_BYTES = 48;
const TREE_ROOT_AT = 40;
const NO_PAGE = 0xffff_ffff_ffff_ffffn;
const META_PAGES = 2;
/** In a meta page: magic number, version, address and size of the map come before the trees. */
const TREES_AT = HEADER_BYTES + 24;
/** The part of a meta page that each commit writes: the size of the map, the trees, the newest page, transaction and boot. */
const MAP_SIZE_AT = HEADER_BYTES + 16;
const META_BYTES = 8 + 2 * TREE_BYTES + 3 * 8;

const PAGE = { branch: 0x01, leaf: 0x02, overflow: 0x04, meta: 0x08 } as const;
const NODE = { overflow: 0x01, tree: 0x02 } as const;

/** The file is damaged. The message states the page. */
export class PageDamaged extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'PageDamaged';
  }
}

/** In the flags of a meta page: its transaction was not flushed to the disk when the page was written (`MDB_OVERLAPPINGSYNC`). */
const NOT_FLUSHED = 0x1000;

/** A description of the whole file, as of one transaction. */
interface Meta {
  readonly pageBytes: number;
  /** Maximum number of pages that the file should have. */
  readonly pages: number;
  readonly transaction: number;
  readonly isFlushed: boolean;
  readonly bootId: bigint;
  readonly roots: readonly number[];
}

export interface Node {
  readonly key: Buffer;
  readonly value: Buffer;
  /** Number of its page. */
  readonly page: number;
  /** The transaction that wrote its page. */
  readonly transaction: number;
}

/** An LMDB file, opened for reading only. */
export class PageFile {
  readonly size: number;
  readonly #file: number;

  constructor(path: string) {
    this.#file = openSync(path, 'r');
    this.size = fstatSync(this.#file).size;
  }

  close(): void {
    closeSync(this.#file);
  }

  /**
   * The meta that LMDB uses when it opens the file and no other process has it open: the newest; or, if that was not flushed before the machine went down,
   * the last flushed one, whose copy is in the second half of the first page.
   * @throws PageDamaged when one of the two meta pages is not valid
   */
  meta(): Meta {
    const first = this.#metaAt(0, null);
    const second = this.#metaAt(first.pageBytes, first.pageBytes);
    return chosen(chosen(first, second), this.#flushedMeta(first.pageBytes));
  }

  /**
   * The changes of the two meta pages that reset the file to the last flushed transaction, if the newest was not flushed before the machine went down.
   * @returns bytes with their offsets; empty if the newest transaction is valid
   * @throws PageDamaged when one of the two meta pages is not valid
   */
  flushedMetas(): { at: number; bytes: Buffer }[] {
    const { pageBytes, transaction: newest } = newestOf(this.#metaAt(0, null), this.#metaAt(this.pageBytes(), null));
    const { transaction } = this.meta();
    const copy = this.#read((pageBytes >> 1) + MAP_SIZE_AT, META_BYTES);
    if (transaction === newest || !copy || transaction !== this.#flushedMeta(pageBytes).transaction) return [];
    return [0, 1].map((page) => {
      const bytes = Buffer.from(copy);
      // LMDB takes the page of the higher number; the other is one behind.
      bytes.writeBigUInt64LE(BigInt(transaction % 2 === page ? transaction : transaction - 1), TREES_AT + 2 * TREE_BYTES + 8 - MAP_SIZE_AT);
      return { at: page * pageBytes + MAP_SIZE_AT, bytes };
    });
  }

  /** The size of pages, also where a meta page is damaged. */
  pageBytes(): number {
    for (const at of [0, 4_096, 8_192, 16_384]) {
      try {
        const { pageBytes } = this.#metaAt(at, null);
        if (at === 0 || at === pageBytes) return pageBytes;
      } catch (error) {
        if (!(error instanceof PageDamaged)) throw error;
      }
    }
    return 4_096;
  }

  /**
   * Follows every tree from its root to its leaves.
   * @param pagesMax maximum number of pages to check; the rest counts as sound
   * @throws PageDamaged at the first damaged page
   */
  walk(pagesMax = Number.POSITIVE_INFINITY): void {
    const { pageBytes, roots } = this.meta();
    const waiting = [...roots];
    for (let checked = 0; checked < pagesMax; checked++) {
      const number = waiting.pop();
      if (number === undefined) return;
      if (checked * pageBytes > this.size) throw new PageDamaged('the pages of a tree form a cycle');
      const page = this.page(number, pageBytes);
      if (!page) throw new PageDamaged(`page ${number} of ${Math.ceil(this.size / pageBytes)} is missing or damaged`);
      if (page.kind === 'overflow') throw new PageDamaged(`page ${number} is not a tree page`);
      for (const at of page.nodes()) {
        const flags = page.bytes.readUInt16LE(at + 4);
        if (page.kind === 'branch') waiting.push(childAt(page.bytes, at));
        else if (flags & NODE.tree) waiting.push(...rootIn(page.bytes, at + NODE_BYTES + page.bytes.readUInt16LE(at + 6)));
        else if (flags & NODE.overflow && !this.#overflow(page.bytes, at, pageBytes, false))
          throw new PageDamaged(`page ${overflowAt(page.bytes, at)}, which page ${number} leads to, is missing or damaged`);
      }
    }
  }

  /** All nodes of all readable leaves, including older transactions. The newest node of a key has the highest transaction. */
  *leafNodes(pageBytes: number): Generator<Node> {
    for (let number = META_PAGES; number * pageBytes < this.size; number++) {
      const page = this.page(number, pageBytes);
      if (page?.kind !== 'leaf') continue;
      for (const at of page.nodes()) {
        const flags = page.bytes.readUInt16LE(at + 4);
        if (flags & NODE.tree) continue;
        const keyEnd = at + NODE_BYTES + page.bytes.readUInt16LE(at + 6);
        const value =
          flags & NODE.overflow
            ? this.#overflow(page.bytes, at, pageBytes, true)
            : page.bytes.subarray(keyEnd, keyEnd + sizeAt(page.bytes, at));
        if (value) yield { key: page.bytes.subarray(at + NODE_BYTES, keyEnd), value, page: number, transaction: page.transaction };
      }
    }
  }

  /** A page of a tree, whose nodes are all within it; undefined when it is missing or damaged. */
  page(number: number, pageBytes: number): Page | undefined {
    const bytes = this.#read(number * pageBytes, pageBytes);
    return bytes && pageIn(bytes, number);
  }

  #overflow(bytes: Buffer, at: number, pageBytes: number, whole: boolean): Buffer | undefined {
    const number = overflowAt(bytes, at);
    const size = sizeAt(bytes, at);
    if (number * pageBytes + HEADER_BYTES + size > this.size) return undefined;
    const read = this.#read(number * pageBytes, HEADER_BYTES + (whole ? size : 0));
    if (!read || Number(read.readBigUInt64LE(0)) !== number || !(read.readUInt16LE(18) & PAGE.overflow)) return undefined;
    return read.subarray(HEADER_BYTES);
  }

  #metaAt(at: number, expectedPageBytes: number | null): Meta {
    const bytes = this.#read(at, HEADER_BYTES + 160);
    const where = at === 0 ? 'the first page' : 'the second page';
    if (!bytes) throw new PageDamaged(`the file has ${this.size} bytes, and ${where} is missing`);
    if (bytes.readUInt32LE(HEADER_BYTES) !== MAGIC) throw new PageDamaged(`${where} is not that of an LMDB file`);
    const version = bytes.readUInt32LE(HEADER_BYTES + 4);
    if (version !== DATA_VERSION) throw new PageDamaged(`${where} is of version ${version}, not ${DATA_VERSION}`);
    const pageBytes = bytes.readUInt32LE(TREES_AT);
    const isPower = (pageBytes & (pageBytes - 1)) === 0;
    if (!isPower || pageBytes < PAGE_BYTES_MIN || pageBytes > PAGE_BYTES_MAX || (expectedPageBytes ?? pageBytes) !== pageBytes)
      throw new PageDamaged(`${where} states a page size of ${pageBytes} bytes`);
    return metaIn(bytes);
  }

  /** The copy has no magic number and no version. */
  #flushedMeta(pageBytes: number): Meta {
    const bytes = this.#read(pageBytes >> 1, HEADER_BYTES + 160);
    if (!bytes) throw new PageDamaged(`the file has ${this.size} bytes, and the first page is missing`);
    return metaIn(bytes);
  }

  #read(at: number, length: number): Buffer | undefined {
    if (at + length > this.size) return undefined;
    const bytes = Buffer.allocUnsafe(length);
    return readSync(this.#file, bytes, 0, length, at) === length ? bytes : undefined;
  }
}

function metaIn(bytes: Buffer): Meta {
  const newest = TREES_AT + 2 * TREE_BYTES;
  return {
    pageBytes: bytes.readUInt32LE(TREES_AT),
    pages: Number(bytes.readBigUInt64LE(newest)) + 1,
    transaction: Number(bytes.readBigUInt64LE(newest + 8)),
    isFlushed: !(bytes.readUInt16LE(TREES_AT + 4) & NOT_FLUSHED),
    bootId: bytes.readBigInt64LE(newest + 16),
    roots: [...rootIn(bytes, TREES_AT), ...rootIn(bytes, TREES_AT + TREE_BYTES)],
  };
}

const newestOf = (one: Meta, other: Meta) => (one.transaction >= other.transaction ? one : other);

/** Chooses between two metas like `mdb_pick_meta` in mdb.c with the flags that lmdb uses. */
function chosen(one: Meta, other: Meta): Meta {
  if (other.transaction === 0) return one;
  const newest = newestOf(one, other);
  // Writes of this boot are at least in the page cache, flushed or not.
  const isOfThisBoot = newest.bootId !== 0n && newest.bootId === bootId() && process.env.LMDB_RESTORE !== 'safe';
  if (newest.isFlushed || isOfThisBoot) return newest;
  return one.transaction > other.transaction ? other : one;
}

interface Page {
  readonly kind: 'branch' | 'leaf' | 'overflow';
  readonly bytes: Buffer;
  readonly transaction: number;
  /** Where each node begins. */
  nodes(): number[];
}

function pageIn(bytes: Buffer, number: number): Page | undefined {
  if (bytes.readBigUInt64LE(0) !== BigInt(number)) return undefined;
  const flags = bytes.readUInt16LE(18);
  const kind = flags & PAGE.leaf ? 'leaf' : flags & PAGE.branch ? 'branch' : flags & PAGE.overflow ? 'overflow' : null;
  if (kind === null) return undefined;
  const nodes: number[] = [];
  const page = { kind, bytes, transaction: Number(bytes.readBigUInt64LE(8)), nodes: () => nodes } as const;
  if (kind === 'overflow') return page;
  const lower = bytes.readUInt16LE(20);
  if (HEADER_BYTES + lower > bytes.length) return undefined;
  for (let index = 0; index < lower >> 1; index++) {
    const at = bytes.readUInt16LE(HEADER_BYTES + 2 * index) + HEADER_BYTES;
    if (at < HEADER_BYTES + lower || at + NODE_BYTES > bytes.length) return undefined;
    const nodeFlags = bytes.readUInt16LE(at + 4);
    const keyEnd = at + NODE_BYTES + bytes.readUInt16LE(at + 6);
    const inPage = kind === 'branch' ? 0 : nodeFlags & NODE.overflow ? HEADER_BYTES : sizeAt(bytes, at);
    if (keyEnd + inPage > bytes.length || (kind === 'leaf' && nodeFlags & NODE.tree && inPage < TREE_BYTES)) return undefined;
    nodes.push(at);
  }
  return page;
}

const sizeAt = (bytes: Buffer, at: number) => bytes.readUInt16LE(at) + bytes.readUInt16LE(at + 2) * 0x1_0000;
const childAt = (bytes: Buffer, at: number) => sizeAt(bytes, at) + bytes.readUInt16LE(at + 4) * 0x1_0000_0000;
const overflowAt = (bytes: Buffer, at: number) => Number(bytes.readBigUInt64LE(at + NODE_BYTES + bytes.readUInt16LE(at + 6)));

/** The root of a tree; none when the tree is empty. */
function rootIn(bytes: Buffer, at: number): number[] {
  const root = bytes.readBigUInt64LE(at + TREE_ROOT_AT);
  return root === NO_PAGE ? [] : [Number(root)];
}
