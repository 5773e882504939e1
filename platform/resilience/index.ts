export { Backoff } from './backoff.ts';
export { BodyTooLarge, readBodyText } from './body-text.ts';
export { coalesced } from './coalesced.ts';
export { OutsideCall, type OutsideCallOptions, type OutsideCallStats, RetryAfterError, retryAfterMs } from './outside-call.ts';
export { RateLimit } from './rate-limit.ts';
