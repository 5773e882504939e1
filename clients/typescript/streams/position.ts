import type { GapNotice } from '@millrace/contracts';

/*
 * Positions of messages: `{epoch}-{offset}`, with `-partial` while more of the current state follows. Offsets of one epoch are those of one history of a server.
 */

const offsetOf = (position: string) => Number.parseInt(position.slice(position.indexOf('-') + 1), 10);

/** Whether more of the current state follows after a position. At the same offset, the position without this mark is newer. */
export const isPartial = (position: string) => position.endsWith('-partial');

export const partialOf = (position: string) => (isPartial(position) ? position : `${position}-partial`);

export const epochOf = (position: string) => position.slice(0, position.indexOf('-'));

/** Whether a position is in the history of another one, and not after it. */
export const isUpTo = (position: string, other: string) => epochOf(position) === epochOf(other) && offsetOf(position) <= offsetOf(other);

/** The newer one of two positions of a reader, which goes on from `known` to `position` unless it is there already. */
export function newerOf(position: string, known: string | undefined): string {
  if (known === undefined || !isUpTo(position, known)) return position;
  return isPartial(known) && !isPartial(position) && isUpTo(known, position) ? position : known;
}

/** Position after which events follow. A gap that is reported while the connection is open is an event with its own position. */
export function endOf({ to }: Pick<GapNotice, 'to'>, position: string): string {
  return isUpTo(to, position) ? position : to;
}
