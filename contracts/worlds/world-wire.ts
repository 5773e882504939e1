import { type Static, Type } from 'typebox';
import { WORLD_REFUSALS } from './world.ts';

/*
 * Frames of the world protocol between client and server: over TCP a 4-byte big-endian length, then one MessagePack map;
 * over WebSocket one map per message. docs/protocols/world.md explains it; a test checks the bytes there.
 */

export const WORLD_PROTOCOL = 1;
/** Maximum size of a frame from a client, bytes. A command has less than 300. */
export const CLIENT_FRAME_BYTES_MAX = 2_048;
/** Maximum size of a frame from the server, bytes: a view of a very crowded area. */
export const SERVER_FRAME_BYTES_MAX = 1_048_576;
/** Maximum length of a chat text, characters. */
export const SAY_CHARACTERS_MAX = 200;

/** Number of command numbers below the newest accepted one whose outcome a zone stores. No command may be further above the oldest one without a reply. */
export const ACCEPTED_WINDOW = 48;

/** Maximum number of unanswered commands in a `hello` that resumes a session. */
export const UNANSWERED_MAX = 64;

const N = Type.Integer({ minimum: 1, maximum: 0xffffffff, description: 'Number of the command in its session, rising.' });
const Coordinate = Type.Integer({ minimum: -10_000_000, maximum: 10_000_000, description: 'cm' });
const ItemId = Type.String({ minLength: 1, maxLength: 40 });
const frame = <T extends string, P extends Type.TProperties>(t: T, properties: P, description: string) =>
  Type.Object({ t: Type.Literal(t), ...properties }, { additionalProperties: false, description });

/** Frames from the client. */
export const CLIENT_FRAMES = {
  hello: frame(
    'hello',
    {
      v: Type.Integer({ description: `Protocol version. This server supports ${WORLD_PROTOCOL}.` }),
      token: Type.Optional(Type.String({ maxLength: 1_024, description: 'Player token.' })),
      resume: Type.Optional(Type.String({ maxLength: 1_024, description: '`resume` of an earlier `welcome`.' })),
      last: Type.Optional(Type.Integer({ minimum: 0, description: 'With `resume`: `e` of the newest notice received.' })),
      unanswered: Type.Optional(
        Type.Array(N, {
          maxItems: UNANSWERED_MAX,
          description: 'With `resume`: commands without a reply so far. Each gets its reply again, or when it is decided.',
        }),
      ),
    },
    'First frame of the client, with either `token` or `resume`.',
  ),
  join: frame('join', { n: N }, 'Enter the world.'),
  leave: frame('leave', { n: N }, 'Leave the world. The player falls asleep at its position.'),
  move: frame('move', { n: N, x: Coordinate, y: Coordinate }, 'Move to this position in a straight line.'),
  take: frame('take', { n: N, item: ItemId }, 'Pick up an item within reach.'),
  use: frame('use', { n: N, item: ItemId }, 'Use an item from the bag.'),
  say: frame(
    'say',
    { n: N, text: Type.String({ minLength: 1, maxLength: SAY_CHARACTERS_MAX }) },
    'Send a chat text to all players in the zone.',
  ),
  ping: frame('ping', { id: Type.Integer({ minimum: 0, maximum: 0xffffffff }) }, 'Ask the server for a `pong` with the same id.'),
  pong: frame('pong', { id: Type.Integer({ minimum: 0, maximum: 0xffffffff }) }, 'Reply to a `ping` of the server, with the same id.'),
} as const;
export type ClientFrameOf<T extends keyof typeof CLIENT_FRAMES> = Static<(typeof CLIENT_FRAMES)[T]>;
export type ClientFrame = { [T in keyof typeof CLIENT_FRAMES]: ClientFrameOf<T> }[keyof typeof CLIENT_FRAMES];

/** An object in the view of a player. */
export const SeenObject = Type.Object(
  {
    id: Type.String(),
    kind: Type.String({ description: '`player`, `monster`, or the item kind.' }),
    x: Type.Integer(),
    y: Type.Integer(),
    name: Type.Optional(Type.String({ description: 'Name of a player. Only for players.' })),
    health: Type.Optional(Type.Integer({ description: 'Health points of a player. Dead at 0. Only for players.' })),
  },
  { description: 'An object in sight.' },
);
export type SeenObject = Static<typeof SeenObject>;

export const Yourself = Type.Object({
  id: Type.String(),
  name: Type.String(),
  x: Type.Integer(),
  y: Type.Integer(),
  speed: Type.Integer({ description: 'Walking speed, cm/s.' }),
  health: Type.Integer(),
  most: Type.Integer({ description: 'Maximum health.' }),
  stunnedUntil: Type.Integer({ description: 'Time until which the player is stunned, epoch ms, server clock.' }),
  bag: Type.Array(Type.Object({ id: Type.String(), item: Type.String() })),
});
export type Yourself = Static<typeof Yourself>;

/** Frames from the server. */
export const SERVER_FRAMES = {
  welcome: frame(
    'welcome',
    {
      v: Type.Integer(),
      session: Type.String(),
      player: Type.String(),
      resume: Type.String({ description: 'Resume token: restores the session after a lost connection. Keep it secret.' }),
      heartbeatMs: Type.Integer({
        description: 'Ping interval of the server, ms. A connection that is silent for three intervals is closed.',
      }),
      lingerMs: Type.Integer({ description: 'Time for which the player stays in the world without a connection, ms.' }),
      resumed: Type.Boolean(),
      gap: Type.Boolean({ description: 'True if notices after `last` were missed and are no longer available.' }),
      time: Type.Integer({ description: 'Server clock, epoch ms.' }),
    },
    'Reply to `hello`.',
  ),
  zone: frame(
    'zone',
    {
      zone: Type.String(),
      n: Type.Integer({ description: 'Number of the newest accepted command. Commands after it had no effect.' }),
      accepted: Type.Array(Type.Integer(), {
        description: 'Accepted commands among `n` and the 48 numbers below it, ascending. The others had no effect.',
      }),
      plan: Type.Object({ seed: Type.Integer(), columns: Type.Integer(), rows: Type.Integer() }),
      blocked: Type.Unsafe<Uint8Array>(
        Type.Any({ description: '512 bytes: one bit per tile, row by row, highest bit first. 1 means blocked.' }),
      ),
      you: Yourself,
    },
    'The player is in this zone now. Discard all objects; a `view` follows with the next update.',
  ),
  view: frame(
    'view',
    { tick: Type.Integer(), objects: Type.Array(SeenObject) },
    'All objects in sight. Discard all others. Sent first in a zone, and after updates were dropped because the client reads too slowly.',
  ),
  update: frame(
    'update',
    {
      tick: Type.Integer({ description: 'Tick number: epoch time in units of 50 ms.' }),
      in: Type.Array(SeenObject, { description: 'Objects that came into sight, with all fields.' }),
      at: Type.Array(Type.Unsafe<[string, number, number]>(Type.Array(Type.Any())), { description: '`[id, x, y]` of objects that moved.' }),
      set: Type.Array(Type.Unsafe<[string, Record<string, unknown>]>(Type.Array(Type.Any())), {
        description: '`[id, fields]` of objects with other changes.',
      }),
      out: Type.Array(Type.String(), { description: 'Ids of objects that are out of sight or gone.' }),
    },
    'Changes in sight since the previous update.',
  ),
  you: frame('you', { you: Yourself }, 'Your player changed in another way than by your own moves.'),
  ok: frame('ok', { n: N }, 'The command was accepted.'),
  refused: frame(
    'refused',
    {
      n: Type.Integer(),
      code: Type.String(),
      message: Type.String(),
      x: Type.Optional(Type.Integer({ description: 'Real position of the player, cm. Omitted while it is in no zone.' })),
      y: Type.Optional(Type.Integer()),
    },
    'The command was refused and changed nothing.',
  ),
  notice: frame(
    'notice',
    {
      e: Type.Integer({ description: 'Number of the notice in the session, ascending.' }),
      kind: Type.String({ description: '`said`, `announced`, `died` or `revived`.' }),
      from: Type.Optional(Type.String()),
      text: Type.Optional(Type.String()),
      at: Type.Integer({ description: 'Time of the notice, epoch ms.' }),
    },
    'A notice that must not be missed: chat, announcement, death or revival.',
  ),
  ping: frame('ping', { id: Type.Integer() }, 'Reply with `pong` and the same id.'),
  pong: frame(
    'pong',
    { id: Type.Integer(), time: Type.Integer() },
    'Reply to a `ping` of the client. `time` is the server clock, epoch ms.',
  ),
  bye: frame('bye', { code: Type.String(), message: Type.String() }, 'The last frame before the server closes.'),
} as const;
export type ServerFrameOf<T extends keyof typeof SERVER_FRAMES> = Static<(typeof SERVER_FRAMES)[T]>;
export type ServerFrame = { [T in keyof typeof SERVER_FRAMES]: ServerFrameOf<T> }[keyof typeof SERVER_FRAMES];

/** Refusals of the gateway and the zone host, before a zone decides. The refusals of zones are in WORLD_REFUSALS. */
const CONNECTION_REFUSALS = {
  INVALID_FRAME: { violation: true, description: 'The frame does not match the protocol.' },
  NOT_JOINED: { violation: false, description: 'The session has not joined the world.' },
  ALREADY_JOINED: { violation: false, description: 'The player is already in the world.' },
  RATE_LIMITED: { violation: true, description: 'Too many commands per second.' },
  ZONE_MOVING: { violation: false, description: 'The zone is moving to another host. Retry soon.' },
  BORDER_CLOSED: { violation: false, description: 'Players cannot cross to the next zone while the log is unavailable.' },
  BUSY: { violation: false, description: 'Too many commands wait at the zone, or too many of this client are unanswered.' },
  LOST: { violation: false, description: 'The command had no effect: the zone moved before it was decided or recorded.' },
} as const;

/** All codes of `refused` frames. */
export const REFUSALS: Readonly<Record<string, { readonly violation: boolean; readonly description: string }>> = {
  ...CONNECTION_REFUSALS,
  ...WORLD_REFUSALS,
};

/** All codes of `bye` frames. */
export const DISCONNECT_REASONS = {
  UNSUPPORTED_VERSION: 'The server does not support this protocol version.',
  INVALID_TOKEN: 'The player token is invalid or expired.',
  UNKNOWN_SESSION: 'The session has ended or never existed. Send `hello` with a token.',
  HELLO_REQUIRED: 'The first frame was not `hello`, or did not arrive within 5 s.',
  FRAME_TOO_LARGE: 'A frame was larger than the protocol allows.',
  TOO_MANY_INVALID_FRAMES: 'Too many frames did not match the protocol.',
  FLOOD: 'Far too many frames per second.',
  TEMPORARILY_BANNED: 'The player is banned temporarily for flooding or invalid frames.',
  SLOW_CONSUMER: 'The client reads more slowly than the server sends.',
  HEARTBEAT_TIMEOUT: 'The client sent nothing for three heartbeats.',
  TOO_MANY_CONNECTIONS: 'The limit of connections in total or per address is reached.',
  REPLACED: 'Another connection plays this player now.',
  KICKED: 'An operator ended the session.',
  FORBIDDEN: 'The user of this player lacks the permission to play.',
  WORLD_STARTING: 'The world is starting and accepts no new sessions yet.',
  SERVER_STOPPING: 'The server is stopping.',
} as const;
export type DisconnectReason = keyof typeof DISCONNECT_REASONS;
