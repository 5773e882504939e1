import { randomBytes } from 'node:crypto';
import type { IncomingHttpHeaders } from 'node:http';

/** `traceparent` of W3C Trace Context: version, trace, span, flags. All-zero ids are invalid, and only later versions than 00 may have more parts. */
const TRACEPARENT = /^(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(?:$|(?<!^00.{53})-)/;
const TRACE_BYTES = 16;
const SPAN_BYTES = 8;

/** Trace id of a request: the one of its `traceparent`, or a new one. 32 hexadecimal digits. */
export function traceIdOf({ traceparent }: IncomingHttpHeaders): string {
  const [, trace] = typeof traceparent === 'string' ? (TRACEPARENT.exec(traceparent) ?? []) : [];
  return trace ?? randomHex(TRACE_BYTES);
}

/** `traceparent` for calls that a request causes: the same trace, a new span. */
export function traceparentOf(trace: string): string {
  return `00-${trace}-${randomHex(SPAN_BYTES)}-01`;
}

/** Random bytes are fetched for some hundred ids at a time: each system call costs as much as a small response. */
const POOL_BYTES = 8_192;
let digits = '';
let taken = 0;

function randomHex(bytes: number): string {
  const end = taken + bytes * 2;
  if (end > digits.length) {
    digits = randomBytes(POOL_BYTES).toString('hex');
    taken = 0;
    return randomHex(bytes);
  }
  const hex = digits.slice(taken, end);
  taken = end;
  return hex;
}
