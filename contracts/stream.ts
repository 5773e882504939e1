import { type Static, Type } from 'typebox';

/** `epoch-offset`: position in the history of a hub. Valid for all channels of that hub. `-partial` follows while the current state is sent. */
export const Position = Type.String({
  pattern: '^[0-9a-z]{1,16}-[0-9]{1,16}(-partial)?$',
  description:
    'Position in the live history: epoch, hyphen, offset. With `-partial`, more of the current state of the channels follows; a reader that resumes ' +
    'there gets the state again.',
  examples: ['m3k9x2-4711'],
});

/** Data of a `gap` event: the stream cannot continue without loss at the position of the reader. */
export const GapNotice = Type.Object(
  {
    channel: Type.String(),
    from: Type.String({ description: 'Position to resume after.' }),
    to: Type.String({ description: 'Position after which events follow.' }),
    reason: Type.Union([Type.Literal('evicted'), Type.Literal('epoch-changed'), Type.Literal('lost'), Type.Literal('withdrawn')], {
      description:
        '`evicted`: no longer in the history. `epoch-changed`: position of another run. `lost`: events of another server may be missing. `withdrawn`: a repair withdrew data of earlier events.',
    }),
  },
  { $id: 'GapNotice', description: 'Events between two positions were missed. Read the current data from the API.' },
);
export type GapNotice = Static<typeof GapNotice>;

export const SocketRequest = Type.Union(
  [
    Type.Object({
      op: Type.Literal('subscribe'),
      id: Type.Union([Type.Integer(), Type.String({ maxLength: 64 })]),
      channels: Type.Array(Type.String({ maxLength: 128 }), { minItems: 1, maxItems: 256 }),
      from: Type.Optional(Type.Record(Type.String(), Position)),
    }),
    Type.Object({
      op: Type.Literal('unsubscribe'),
      id: Type.Union([Type.Integer(), Type.String({ maxLength: 64 })]),
      channels: Type.Array(Type.String({ maxLength: 128 }), { minItems: 1, maxItems: 256 }),
    }),
    Type.Object({ op: Type.Literal('ping'), id: Type.Union([Type.Integer(), Type.String({ maxLength: 64 })]) }),
    Type.Object({
      op: Type.Literal('authenticate'),
      id: Type.Union([Type.Integer(), Type.String({ maxLength: 64 })]),
      token: Type.String({ minLength: 1, maxLength: 4_096, description: 'Access token or API key.' }),
    }),
  ],
  { $id: 'SocketRequest', description: 'Request over the WebSocket: 50 per second, in bursts of up to 1,280.' },
);
export type SocketRequest = Static<typeof SocketRequest>;

export const SocketReply = Type.Object(
  {
    id: Type.Union([Type.Integer(), Type.String(), Type.Null()]),
    ok: Type.Boolean(),
    op: Type.Optional(Type.String()),
    position: Type.Optional(Position),
    error: Type.Optional(Type.Object({ code: Type.String(), detail: Type.String(), remedy: Type.String() })),
  },
  { $id: 'SocketReply', description: 'Reply to a request, with the id of the request.' },
);
export type SocketReply = Static<typeof SocketReply>;

export const SocketEvent = Type.Object(
  { channel: Type.String(), position: Position, event: Type.String(), data: Type.Unknown() },
  { $id: 'SocketEvent', description: 'An event of a channel.' },
);
export type SocketEvent = Static<typeof SocketEvent>;
