import { shortened } from './shortened.ts';

/** Maximum number of counted kinds of frames, and maximum length of each. Frames of further kinds are counted together. */
const KINDS_MAX = 100;
const KIND_CHARACTERS_MAX = 64;
const OTHER_KINDS = 'other kinds';

/** Counts a frame by its kind, which the venue chooses. */
export function countKind(counts: Record<string, number>, kind: unknown): void {
  const name = shortened(kind, KIND_CHARACTERS_MAX);
  const isCounted = Object.hasOwn(counts, name);
  const counted = isCounted || Object.keys(counts).length < KINDS_MAX ? name : OTHER_KINDS;
  counts[counted] = (isCounted || counted === OTHER_KINDS ? (counts[counted] ?? 0) : 0) + 1;
}
