/** Failures before a connection was established: nothing was sent, so any request may be sent to another server. */
const NOT_SENT: ReadonlySet<string> = new Set([
  'ECONNREFUSED',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'ENOTFOUND',
  'EAI_AGAIN',
  'UND_ERR_CONNECT_TIMEOUT',
]);
/** Failures of an established connection. */
const LOST: ReadonlySet<string> = new Set(['ECONNRESET', 'EPIPE', 'ETIMEDOUT', 'UND_ERR_SOCKET']);

/** No response in time. The server may still respond to other requests. */
const UNANSWERED: ReadonlySet<string> = new Set(['UND_ERR_HEADERS_TIMEOUT', 'NO_RESPONSE']);

/** A server did not respond to a request, or to its health checks while a request waited. */
export class NoResponseError extends Error {
  readonly code = 'NO_RESPONSE';
}

/** Whether a request was sent and got no response. */
export function hasNoResponse(error: unknown): boolean {
  return LOST.has(codeOf(error)) || UNANSWERED.has(codeOf(error));
}

/** Whether a request failed before any of it reached the server. */
export function isNotSent(error: unknown): boolean {
  return NOT_SENT.has(codeOf(error));
}

/**
 * Whether the server caused the failure: it cannot be reached, or it closed the connection. Other failures may be caused by the request: it cannot be
 * sent, its client disconnected, or its response takes long. They must not open the circuit for other clients. The health check detects a stuck server.
 */
export function isServerFailure(error: unknown): boolean {
  return isNotSent(error) || LOST.has(codeOf(error));
}

const codeOf = (error: unknown) => String((error as { code?: unknown } | null)?.code);
