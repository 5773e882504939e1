/*
 * Positions of messages: `{epoch}-{offset}`, with `-partial` while more of the current state follows. Offsets of one epoch are those of one history of a server.
 */

const offsetOf = (position: string) => Number.parseInt(position.slice(position.indexOf('-') + 1), 10);

/** Whether more of the current state follows after a position. At the same offset, the position without this mark is newer. */
export const isPartial = (position: string) => position.endsWith('-partial');

export const partialOf = (position: string) => (isPartial(position) ? position : `${position}-partial`);

const epochOf = (position: string) => position.slice(0, position.indexOf('-'));

/** Whether a position is in the history of another one, and not after it. */
export const isUpTo = (position: string, other: string) => epochOf(position) === epochOf(other) && offsetOf(position) <= offsetOf(other);
