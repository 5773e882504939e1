/** Failures before a connection was there: nothing was sent, so whatever it was may go elsewhere. */
const NOT_SENT: ReadonlySet<string> = new Set([
  'ECONNREFUSED',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'ENOTFOUND',
  'EAI_AGAIN',
  'UND_ERR_CONNECT_TIMEOUT',
]);
/** Failures of a connection that was there. */
const LOST: ReadonlySet<string> = new Set(['ECONNRESET', 'EPIPE', 'ETIMEDOUT', 'UND_ERR_SOCKET']);

/** No response in time. Others of the same server may be answered. */
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
 * Whether a request failed by the server’s own fault: it cannot be reached, or cut the connection. Everything else may be the request’s fault, and one
 * client’s requests must not take a server away from the others: what cannot be sent, who gave up waiting, and an answer that takes long. A server that
 * is stuck is found by its health check.
 */
export function isServerFailure(error: unknown): boolean {
  return isNotSent(error) || LOST.has(codeOf(error));
}

const codeOf = (error: unknown) => String((error as { code?: unknown } | null)?.code);
