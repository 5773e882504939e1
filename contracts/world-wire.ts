import { type Static, Type } from 'typebox';
import { WORLD_REFUSALS } from './world.ts';

/*
 * The world protocol: what a client and the server send each other over TCP (4-byte big-endian length, then one
 * MessagePack map) and over WebSocket (one map a message). docs/protocols/world.md explains it; a test checks the bytes there.
 */

export const WORLD_PROTOCOL = 1;
/** Largest frame a client may send, bytes. A command is below 300. */
export const CLIENT_FRAME_BYTES_MAX = 2_048;
/** Largest frame the server sends, bytes: a view of a very crowded place. */
export const SERVER_FRAME_BYTES_MAX = 1_048_576;
/** Longest text a player may say, in characters. */
export const SAY_CHARACTERS_MAX = 200;

/** Commands that a client may name as unanswered when it comes back. */
export const UNANSWERED_MAX = 64;

const N = Type.Integer({ minimum: 1, maximum: 0xffffffff, description: 'Number of the command in its session, rising.' });
const Coordinate = Type.Integer({ minimum: -10_000_000, maximum: 10_000_000, description: 'cm' });
const ItemId = Type.String({ minLength: 1, maxLength: 40 });
const frame = <T extends string, P extends Type.TProperties>(t: T, properties: P, description: string) =>
  Type.Object({ t: Type.Literal(t), ...properties }, { additionalProperties: false, description });

/** What a client may send. */
export const CLIENT_FRAMES = {
  hello: frame(
    'hello',
    {
      v: Type.Integer({ description: `Version of the protocol; this server speaks ${WORLD_PROTOCOL}.` }),
      token: Type.Optional(Type.String({ maxLength: 1_024, description: 'Who the player is.' })),
      resume: Type.Optional(Type.String({ maxLength: 1_024, description: 'The `resume` of an earlier welcome.' })),
      last: Type.Optional(Type.Integer({ minimum: 0, description: 'With `resume`: the `e` of the newest notice that came.' })),
      unanswered: Type.Optional(
        Type.Array(N, {
          maxItems: UNANSWERED_MAX,
          description: 'With `resume`: commands without an answer so far; each gets the one it had, or will have.',
        }),
      ),
    },
    'The first frame. Either `token` or `resume`.',
  ),
  join: frame('join', { n: N }, 'Enter the world.'),
  leave: frame('leave', { n: N }, 'Leave the world; the player falls asleep where it stands.'),
  move: frame('move', { n: N, x: Coordinate, y: Coordinate }, 'Go there in a straight line.'),
  take: frame('take', { n: N, item: ItemId }, 'Pick up an item within reach.'),
  use: frame('use', { n: N, item: ItemId }, 'Use an item from the bag.'),
  say: frame('say', { n: N, text: Type.String({ minLength: 1, maxLength: SAY_CHARACTERS_MAX }) }, 'Say something to those in the zone.'),
  ping: frame('ping', { id: Type.Integer({ minimum: 0, maximum: 0xffffffff }) }, 'Ask for a sign of life.'),
  pong: frame('pong', { id: Type.Integer({ minimum: 0, maximum: 0xffffffff }) }, 'The answer to the server’s `ping`.'),
} as const;
export type ClientFrameOf<T extends keyof typeof CLIENT_FRAMES> = Static<(typeof CLIENT_FRAMES)[T]>;
export type ClientFrame = { [T in keyof typeof CLIENT_FRAMES]: ClientFrameOf<T> }[keyof typeof CLIENT_FRAMES];

/** An object as players see it. */
export const SeenObject = Type.Object(
  {
    id: Type.String(),
    kind: Type.String({ description: '`player`, `monster`, or the kind of an item.' }),
    x: Type.Integer(),
    y: Type.Integer(),
    name: Type.Optional(Type.String({ description: 'Of a player.' })),
    health: Type.Optional(Type.Integer({ description: 'Of a player; dead at 0.' })),
  },
  { description: 'An object in sight.' },
);
export type SeenObject = Static<typeof SeenObject>;

export const Yourself = Type.Object({
  id: Type.String(),
  name: Type.String(),
  x: Type.Integer(),
  y: Type.Integer(),
  speed: Type.Integer({ description: 'cm/s' }),
  health: Type.Integer(),
  most: Type.Integer(),
  stunnedUntil: Type.Integer({ description: 'epoch ms, the server’s clock' }),
  bag: Type.Array(Type.Object({ id: Type.String(), item: Type.String() })),
});
export type Yourself = Static<typeof Yourself>;

/** What the server sends. */
export const SERVER_FRAMES = {
  welcome: frame(
    'welcome',
    {
      v: Type.Integer(),
      session: Type.String(),
      player: Type.String(),
      resume: Type.String({ description: 'Brings the session back after a dropped connection.' }),
      heartbeatMs: Type.Integer({ description: 'The server pings this often, and ends a connection that is silent three times as long.' }),
      lingerMs: Type.Integer({ description: 'How long the player stands in the world without a connection.' }),
      resumed: Type.Boolean(),
      gap: Type.Boolean({ description: 'Notices after `last` were missed and are not kept any more.' }),
      time: Type.Integer({ description: 'The server’s clock, epoch ms.' }),
    },
    'The answer to `hello`.',
  ),
  zone: frame(
    'zone',
    {
      zone: Type.String(),
      n: Type.Integer({ description: 'The newest command that was accepted; those after it had no effect.' }),
      accepted: Type.Array(Type.Integer(), {
        description: 'Of `n` and the 48 numbers below it, those that were accepted, rising; the others of them had no effect.',
      }),
      plan: Type.Object({ seed: Type.Integer(), columns: Type.Integer(), rows: Type.Integer() }),
      blocked: Type.Unsafe<Uint8Array>(
        Type.Any({ description: '512 bytes: a bit for each tile, row by row, highest bit first; 1 is blocked.' }),
      ),
      you: Yourself,
    },
    'You are in this zone now; forget what you saw before. A `view` follows with the next update.',
  ),
  view: frame(
    'view',
    { tick: Type.Integer(), objects: Type.Array(SeenObject) },
    'All that is in sight; forget what you saw before. Comes first in a zone, and when updates were left out because you read too slowly.',
  ),
  update: frame(
    'update',
    {
      tick: Type.Integer({ description: 'Number of the tick: the time it stands for in units of 50 ms.' }),
      in: Type.Array(SeenObject, { description: 'What came into sight, whole.' }),
      at: Type.Array(Type.Unsafe<[string, number, number]>(Type.Array(Type.Any())), { description: '[id, x, y] of what moved.' }),
      set: Type.Array(Type.Unsafe<[string, Record<string, unknown>]>(Type.Array(Type.Any())), {
        description: '[id, fields] of what changed otherwise.',
      }),
      out: Type.Array(Type.String(), { description: 'What is out of sight, or gone.' }),
    },
    'What changed in sight since the update before.',
  ),
  you: frame('you', { you: Yourself }, 'Something about yourself changed other than by your own moves.'),
  ok: frame('ok', { n: N }, 'The command was accepted.'),
  refused: frame(
    'refused',
    {
      n: Type.Integer(),
      code: Type.String(),
      message: Type.String(),
      x: Type.Optional(Type.Integer({ description: 'Where you really are.' })),
      y: Type.Optional(Type.Integer()),
    },
    'The command was refused and changed nothing.',
  ),
  notice: frame(
    'notice',
    {
      e: Type.Integer({ description: 'Counts the notices of the session.' }),
      kind: Type.String({ description: '`said`, `announced`, `died`, `revived`.' }),
      from: Type.Optional(Type.String()),
      text: Type.Optional(Type.String()),
      at: Type.Integer({ description: 'epoch ms' }),
    },
    'Something that is not to be missed.',
  ),
  ping: frame('ping', { id: Type.Integer() }, 'Answer with `pong` and the same id.'),
  pong: frame('pong', { id: Type.Integer(), time: Type.Integer() }, 'The answer to your `ping`, with the server’s clock, epoch ms.'),
  bye: frame('bye', { code: Type.String(), message: Type.String() }, 'The last frame before the server closes.'),
} as const;
export type ServerFrameOf<T extends keyof typeof SERVER_FRAMES> = Static<(typeof SERVER_FRAMES)[T]>;
export type ServerFrame = { [T in keyof typeof SERVER_FRAMES]: ServerFrameOf<T> }[keyof typeof SERVER_FRAMES];

/** Refusals that the door gives before a zone is asked; the zones’ own are in WORLD_REFUSALS. */
const DOOR_REFUSALS = {
  INVALID_FRAME: { offence: true, says: 'The frame is not as the protocol says.' },
  NOT_JOINED: { offence: false, says: 'Join the world first.' },
  ALREADY_JOINED: { offence: false, says: 'The player is in the world already.' },
  RATE_LIMITED: { offence: true, says: 'Too many commands in too short a time.' },
  ZONE_MOVING: { offence: false, says: 'The zone is moving to another host; try again in a moment.' },
  BORDER_CLOSED: { offence: false, says: 'Nobody can cross to the next zone while the log is away.' },
  BUSY: { offence: false, says: 'The zone has more commands waiting than it can take, or too many of yours have no answer yet.' },
  LOST: { offence: false, says: 'It had no effect: the zone went to another host before it was decided, or before that was recorded.' },
} as const;

/** Every code a `refused` frame may carry. */
export const REFUSALS: Readonly<Record<string, { readonly offence: boolean; readonly says: string }>> = {
  ...DOOR_REFUSALS,
  ...WORLD_REFUSALS,
};

/** Every code a `bye` frame may carry. */
export const DISCONNECT_REASONS = {
  UNSUPPORTED_VERSION: 'The server does not speak that version of the protocol.',
  INVALID_TOKEN: 'The token is not valid.',
  UNKNOWN_SESSION: 'The session is over or was never here; say hello with a token.',
  HELLO_REQUIRED: 'The first frame must be `hello`, within five seconds.',
  FRAME_TOO_LARGE: 'A frame was larger than the protocol allows.',
  TOO_MANY_INVALID_FRAMES: 'Too many frames were not as the protocol says.',
  FLOOD: 'Far too many frames in too short a time.',
  TEMPORARILY_BANNED: 'The player was sent away for what it sent, and may not come back yet.',
  SLOW_CONSUMER: 'The client did not read what it was sent.',
  HEARTBEAT_TIMEOUT: 'Nothing was heard from the client for too long.',
  TOO_MANY_CONNECTIONS: 'No more connections are accepted, or none from this address.',
  REPLACED: 'The player is played from another connection now.',
  KICKED: 'An operator has ended the session.',
  FORBIDDEN: 'Whoever this player belongs to may not play, or not any more.',
  WORLD_STARTING: 'The world is not ready for newcomers; try again in a moment.',
  SERVER_STOPPING: 'The server stops.',
} as const;
export type DisconnectReason = keyof typeof DISCONNECT_REASONS;
