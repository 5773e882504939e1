import { createHash } from 'node:crypto';
import type { RandomNumbers } from '../ports.ts';

/** Predictable numbers: the hash of zone, epoch, opening and count. For tests only. */
export const openNumbers: RandomNumbers = (zone, epoch, opening) => {
  let count = 0;
  return () => createHash('sha256').update(`${zone}\n${epoch}\n${opening}\n${count++}`).digest().readUInt32BE() / 2 ** 32;
};
