/** Position of a reader: it has received all events up to and including `offset` in the history `epoch`. */
export interface HubPosition {
  readonly epoch: string;
  readonly offset: number;
}

const POSITION = /^([0-9a-z]{1,16})-([0-9]{1,16})$/;

export function parsePosition(text: string): HubPosition | undefined {
  const match = POSITION.exec(text);
  return match ? { epoch: match[1] as string, offset: Number(match[2]) } : undefined;
}

export function formatPosition(epoch: string, offset: number): string {
  return `${epoch}-${offset}`;
}
