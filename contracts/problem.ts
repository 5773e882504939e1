import { type Static, Type } from 'typebox';

/** Problem details (RFC 9457). `type` is a path under /docs that explains the problem. `remedy` says what the caller can do. */
export const Problem = Type.Object(
  {
    type: Type.String({ examples: ['/problems/unknown-instrument'] }),
    title: Type.String(),
    status: Type.Integer(),
    detail: Type.String(),
    remedy: Type.String(),
    code: Type.String({ examples: ['UNKNOWN_INSTRUMENT'] }),
    instance: Type.Optional(Type.String({ description: 'Path of the request (a URI reference).', examples: ['/api/v1/sources/nope'] })),
    traceId: Type.Optional(
      Type.String({ description: 'Trace id of the request, as in the server log and in the response header `x-request-id`.' }),
    ),
    errors: Type.Optional(
      Type.Array(
        Type.Object({
          in: Type.String({ description: 'Part of the request: `body`, `query` or `path`.' }),
          pointer: Type.String({ description: 'JSON Pointer to the wrong value within that part (RFC 6901).', examples: ['/name'] }),
          code: Type.String({ description: 'JSON Schema keyword that the value violates.', examples: ['required'] }),
          message: Type.String(),
        }),
        { description: 'Validation errors. Validation stops at the first error.' },
      ),
    ),
  },
  { $id: 'Problem', description: 'Problem details (RFC 9457): what was wrong with which value, and what to do.' },
);
export type Problem = Static<typeof Problem>;

/** All problems of the HTTP API. */
export const PROBLEMS = {
  BAD_REQUEST: { status: 400, title: 'Invalid request' },
  UNKNOWN_INTERVAL: { status: 400, title: 'Unknown interval' },
  INVALID_TIME: { status: 400, title: 'Invalid time' },
  INVALID_CURSOR: { status: 400, title: 'Invalid cursor' },
  INVALID_POSITION: { status: 400, title: 'Invalid stream position' },
  UNKNOWN_CHANNEL: { status: 400, title: 'Unknown channel' },
  UNKNOWN_INSTRUMENT: { status: 404, title: 'Instrument not found' },
  UNKNOWN_SOURCE: { status: 404, title: 'Source not found' },
  UNKNOWN_ZONE: { status: 404, title: 'Zone not found' },
  POINT_IN_TIME_UNAVAILABLE: { status: 404, title: 'State at that time is not available' },
  UNKNOWN_PLAYER: { status: 404, title: 'Player not found' },
  UNKNOWN_HOST: { status: 404, title: 'Zone host not found' },
  UNAUTHENTICATED: { status: 401, title: 'Authentication required' },
  ORIGIN_NOT_ALLOWED: { status: 403, title: 'Origin not allowed' },
  FORBIDDEN: { status: 403, title: 'Permission denied' },
  DATABASE_UNAVAILABLE: { status: 503, title: 'Database unavailable' },
  HISTORY_UNAVAILABLE: { status: 503, title: 'History unavailable' },
  NO_SERVER_AVAILABLE: { status: 503, title: 'No server available' },
  SERVER_CONNECTION_LOST: { status: 502, title: 'Connection to the server lost before it answered' },
  SNAPSHOT_FAILED: { status: 503, title: 'Snapshot not stored' },
  NOT_CONFIRMED: { status: 503, title: 'Accepted, but not confirmed as durable in time' },
  ZONE_UNAVAILABLE: { status: 503, title: 'Zone unavailable' },
  INVALID_CREDENTIALS: { status: 401, title: 'Incorrect e-mail or password' },
  INCORRECT_PASSWORD: { status: 403, title: 'Incorrect password' },
  INCORRECT_CODE: { status: 403, title: 'Incorrect code' },
  INVALID_CODE: { status: 401, title: 'Incorrect code' },
  INVALID_PASSKEY: { status: 401, title: 'Passkey not accepted' },
  INVALID_TOKEN: { status: 401, title: 'Invalid access token, API key or session' },
  REAUTHENTICATION_REQUIRED: { status: 403, title: 'Recent sign-in required' },
  PASSWORD_REJECTED: { status: 400, title: 'Password rejected' },
  INVALID_LINK: { status: 400, title: 'Link is invalid, expired or already used' },
  EMAIL_TAKEN: { status: 409, title: 'E-mail address already in use' },
  NAME_TAKEN: { status: 409, title: 'Name already in use' },
  TOO_MANY_PLAYERS: { status: 409, title: 'Player limit reached' },
  UNSUPPORTED_MEDIA_TYPE: { status: 415, title: 'Unsupported media type' },
  TOO_LARGE: { status: 413, title: 'Request too large' },
  RATE_LIMITED: { status: 429, title: 'Rate limit exceeded' },
  LOCKED_OUT: { status: 429, title: 'Too many failed attempts' },
  UNKNOWN_TENANT: { status: 404, title: 'Tenant not found' },
  UNKNOWN_USER: { status: 404, title: 'User not found' },
  NO_DATA: { status: 404, title: 'No data yet' },
  NOT_FOUND: { status: 404, title: 'Not found' },
  METHOD_NOT_ALLOWED: { status: 405, title: 'Method not allowed' },
  IDEMPOTENCY_KEY_IN_USE: { status: 409, title: 'Request with this Idempotency-Key is still running' },
  IDEMPOTENCY_KEY_REUSED: { status: 422, title: 'Idempotency-Key was used for another request' },
  TOO_MANY_IDEMPOTENCY_KEYS: { status: 429, title: 'Idempotency-Key limit reached' },
  CONFLICT: { status: 409, title: 'Conflict with the current state' },
  TOO_MANY_CONNECTIONS: { status: 503, title: 'Stream limit reached' },
  INTERNAL_ERROR: { status: 500, title: 'Internal server error' },
} as const;
export type ProblemCode = keyof typeof PROBLEMS;
