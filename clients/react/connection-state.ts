import type { MillraceError, StreamStatus } from '@millrace/client';

export interface ConnectionState {
  readonly status: StreamStatus;
  /** Reason why the stream is not live: refused by the server, or server unreachable. */
  readonly error: MillraceError | null;
}

/** The state after a change of status. A subscription begins with `connecting`: an error before that is of earlier channels. */
export function stateAfter(before: ConnectionState, status: StreamStatus, reason: MillraceError | null): ConnectionState {
  const isWithoutError = status === 'live' || status === 'connecting';
  return { status, error: isWithoutError ? null : (reason ?? before.error) };
}
