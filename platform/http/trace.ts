import { randomBytes } from 'node:crypto';
import type { IncomingHttpHeaders } from 'node:http';

/** `traceparent` of W3C Trace Context: version, trace, span, flags. All zeros stand for nothing. */
const TRACEPARENT = /^(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(?:$|-)/;

/** The trace a request belongs to: its caller’s, or a new one. 32 hexadecimal digits. */
export function traceOf({ traceparent }: IncomingHttpHeaders): string {
  const [, trace] = typeof traceparent === 'string' ? (TRACEPARENT.exec(traceparent) ?? []) : [];
  return trace ?? randomBytes(16).toString('hex');
}

/** What is handed on to whoever works for this request next: the same trace, a span of our own. */
export function traceparentOf(trace: string): string {
  return `00-${trace}-${randomBytes(8).toString('hex')}-01`;
}
