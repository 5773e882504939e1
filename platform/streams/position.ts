/** Position of a reader: it has received all events up to and including `offset` in the history `epoch`. */
export interface HubPosition {
  readonly epoch: string;
  readonly offset: number;
  /** The reader has not received all of the current state that its channels begin with. */
  readonly isPartial: boolean;
}

const POSITION = /^([0-9a-z]{1,16})-([0-9]{1,16})(-partial)?$/;

export function parsePosition(text: string): HubPosition | undefined {
  const match = POSITION.exec(text);
  return match ? { epoch: match[1] as string, offset: Number(match[2]), isPartial: match[3] !== undefined } : undefined;
}

export function formatPosition({ epoch, offset, isPartial }: HubPosition): string {
  return `${epoch}-${offset}${isPartial ? '-partial' : ''}`;
}
