import { ACCEPTED_WINDOW, type Presence } from '@millrace/contracts';

type Accepted = Pick<Presence, 'n' | 'before'>;

/** Returns the window of accepted command numbers, as the bits of one integer, after one more command, `accepted`, which is above `n`. */
export function withAccepted({ n, before = 0 }: Accepted, accepted: number): { n: number; before: number } {
  const distance = accepted - n;
  if (n === 0 || distance > ACCEPTED_WINDOW) return { n: accepted, before: 0 };
  // Shifts by the distance and sets a bit for the previous newest number. Bits beyond the upper end are dropped.
  const kept = (before * 2 + 1) % 2 ** (ACCEPTED_WINDOW - distance + 1);
  return { n: accepted, before: kept * 2 ** (distance - 1) };
}

/** The numbers of accepted commands in the window, ascending. */
export function acceptedNumbers({ n, before = 0 }: Accepted): number[] {
  if (n === 0) return [];
  const numbers = [n];
  for (let bits = before, below = n - 1; bits > 0; bits = Math.floor(bits / 2), below--) if (bits % 2 === 1) numbers.unshift(below);
  return numbers;
}
