/** Kind and key of a zone, joined by a slash: `instrument/binance:BTC-USDT`. */
export type ZoneAddress = string;

export function zoneAddress(kind: string, key: string): ZoneAddress {
  return `${kind}/${key}`;
}

export function kindOf(address: ZoneAddress): string {
  return address.slice(0, address.indexOf('/'));
}

export function keyOf(address: ZoneAddress): string {
  return address.slice(address.indexOf('/') + 1);
}

/** Metadata of a command, stored with the events that it causes. */
export interface CommandMeta {
  /** A retry with an `id` that the zone remembers (see `repliesKept`) gets the first reply and has no second effect. */
  readonly id?: string;
  /**
   * Place of the command among those of one source, from 1 on. A zone expects the places of a source in rising order: it accepts a command whose
   * place is not higher than the last one without a second effect, however long ago that was.
   */
  readonly source?: { readonly name: string; readonly place: number };
  readonly correlation?: string;
  readonly actor?: string;
  readonly tenant?: string;
}

/** How a command is sent: its metadata, and when its reply is wanted. */
export interface SubmitOptions extends CommandMeta {
  readonly durable?: boolean;
  readonly onDecided?: (reply: Reply) => void;
}

/** Result of a command. */
export type Reply = Accepted | Refused;

interface Accepted {
  readonly ok: true;
  /** The zone’s seq after the command. */
  readonly seq: number;
}

export interface Refused {
  readonly ok: false;
  readonly code: string;
  readonly message: string;
  /** Seq of the record of the refusal, of kinds with `repliesKept`. */
  readonly seq?: number;
}

/** Refusals of the kernel. Every other code belongs to a zone definition. */
export const KERNEL_REFUSALS = {
  BUSY: 'Too many commands wait. Send more slowly and retry.',
  ZONE_FAILED: 'The zone threw an error on this command and is rebuilt from its record.',
  ZONE_STOPPED: 'The zone does not run on this host.',
  LOG_UNAVAILABLE: 'The log is unavailable, so the command is not decided.',
  OUTCOME_UNKNOWN: 'The decision is made, but whether it is recorded is not known here.',
  NOT_RECORDED: 'The decision was applied, but its record was lost while the log was unavailable.',
} as const;

/** A refusal with a kernel code. Its message is the text of the code, then `detail`. */
export function refused(code: keyof typeof KERNEL_REFUSALS, detail: string): Refused {
  return { ok: false, code, message: `${KERNEL_REFUSALS[code]} ${detail}` };
}
