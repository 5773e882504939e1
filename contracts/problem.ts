import { type Static, Type } from 'typebox';

/** RFC 9457. `type` is a path under /docs that explains the problem; `remedy` says what the caller can do. */
export const Problem = Type.Object(
  {
    type: Type.String({ examples: ['/problems/unknown-instrument'] }),
    title: Type.String(),
    status: Type.Integer(),
    detail: Type.String(),
    remedy: Type.String(),
    code: Type.String({ examples: ['UNKNOWN_INSTRUMENT'] }),
    instance: Type.Optional(Type.String({ description: 'The request’s id.' })),
  },
  { $id: 'Problem', description: 'What went wrong, with the offending value, and what to do about it (RFC 9457).' },
);
export type Problem = Static<typeof Problem>;

/** The catalogue of all problems the HTTP API may answer with. */
export const PROBLEMS = {
  BAD_REQUEST: { status: 400, title: 'The request is not valid' },
  UNKNOWN_INTERVAL: { status: 400, title: 'There is no such interval' },
  BAD_TIME: { status: 400, title: 'That is not a time' },
  BAD_CURSOR: { status: 400, title: 'That is not a cursor' },
  BAD_POSITION: { status: 400, title: 'That is not a stream position' },
  BAD_CHANNEL: { status: 400, title: 'There is no such channel' },
  UNKNOWN_INSTRUMENT: { status: 404, title: 'There is no such instrument' },
  UNKNOWN_SOURCE: { status: 404, title: 'There is no such source' },
  UNKNOWN_ZONE: { status: 404, title: 'There is no such zone' },
  NOT_ON_RECORD: { status: 404, title: 'The record does not say what was then' },
  UNKNOWN_PLAYER: { status: 404, title: 'There is no such player' },
  UNKNOWN_HOST: { status: 404, title: 'There is no such zone host' },
  SIGN_IN_FIRST: { status: 401, title: 'Who you are is not known' },
  FOREIGN_ORIGIN: { status: 403, title: 'The request comes from another site’s page' },
  NOT_ALLOWED: { status: 403, title: 'That is not allowed here' },
  TABLES_AWAY: { status: 503, title: 'The tables cannot be read now' },
  HISTORY_UNAVAILABLE: { status: 503, title: 'The history cannot be read now' },
  NO_SERVER: { status: 503, title: 'No server can be reached now' },
  SERVER_LOST: { status: 502, title: 'The server was lost before it answered' },
  NOT_CONFIRMED: { status: 503, title: 'It is decided, and not confirmed yet' },
  ZONE_AWAY: { status: 503, title: 'The zone cannot be reached now' },
  WRONG_CREDENTIALS: { status: 401, title: 'E-mail and password do not belong together' },
  WRONG_CODE: { status: 401, title: 'That is not the code' },
  BAD_PASSKEY: { status: 401, title: 'The passkey is not valid here' },
  BAD_CREDENTIAL: { status: 401, title: 'The access token, API key or session is not valid' },
  SIGN_IN_AGAIN: { status: 403, title: 'This needs a fresh sign-in' },
  BAD_PASSWORD: { status: 400, title: 'The password cannot be used' },
  BAD_TOKEN: { status: 400, title: 'The link is not valid, or was used' },
  EMAIL_TAKEN: { status: 409, title: 'There is a user with that address' },
  NAME_TAKEN: { status: 409, title: 'There is a user with that name' },
  TOO_MANY_PLAYERS: { status: 409, title: 'The user has as many players as allowed' },
  UNSUPPORTED_TYPE: { status: 415, title: 'The request is of a kind that is not read here' },
  TOO_LARGE: { status: 413, title: 'The request is too large' },
  RATE_LIMITED: { status: 429, title: 'Too many requests' },
  LOCKED_OUT: { status: 429, title: 'Too many failed attempts' },
  UNKNOWN_TENANT: { status: 404, title: 'There is no such tenant' },
  UNKNOWN_USER: { status: 404, title: 'There is no such user' },
  NO_DATA: { status: 404, title: 'Nothing of that has been received yet' },
  NOT_FOUND: { status: 404, title: 'There is nothing at this address' },
  METHOD_NOT_ALLOWED: { status: 405, title: 'That cannot be done at this address' },
  WRONG_STATE: { status: 409, title: 'That cannot be done in the present state' },
  TOO_MANY_CONNECTIONS: { status: 503, title: 'The server’s bound on open streams is reached' },
  INTERNAL: { status: 500, title: 'The server made a mistake' },
} as const;
export type ProblemCode = keyof typeof PROBLEMS;
