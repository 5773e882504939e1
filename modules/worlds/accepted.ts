import type { Presence } from '@millrace/contracts';

/** How many numbers below the newest accepted command are known of, whether they were accepted. They are the bits of one number. */
export const ACCEPTED_WINDOW = 48;

type Accepted = Pick<Presence, 'n' | 'before'>;

/** What is known of a session’s commands once a later one is accepted. */
export function withAccepted({ n, before = 0 }: Accepted, accepted: number): { n: number; before: number } {
  const distance = accepted - n;
  if (n === 0 || distance > ACCEPTED_WINDOW) return { n: accepted, before: 0 };
  // Shifted by the distance, with a bit for the one that was the newest; what falls out at the upper end is forgotten.
  const kept = (before * 2 + 1) % 2 ** (ACCEPTED_WINDOW - distance + 1);
  return { n: accepted, before: kept * 2 ** (distance - 1) };
}

/** The accepted commands among the newest and those just below it, rising. */
export function acceptedNumbers({ n, before = 0 }: Accepted): number[] {
  if (n === 0) return [];
  const numbers = [n];
  for (let bits = before, below = n - 1; bits > 0; bits = Math.floor(bits / 2), below--) if (bits % 2 === 1) numbers.unshift(below);
  return numbers;
}
