import { type Static, Type } from 'typebox';
import { DateTime } from '../instant.ts';
import { InstrumentId } from '../market/instrument.ts';

const Nullable = <T extends Type.TSchema>(schema: T) => Type.Union([schema, Type.Null()]);

export const SOURCE_STATES = ['connecting', 'live', 'waiting', 'paused', 'finished', 'stopped'] as const;
export type SourceState = (typeof SOURCE_STATES)[number];

export const Source = Type.Object(
  {
    id: Type.String(),
    type: Type.String({ examples: ['binance'] }),
    simulated: Type.Boolean({ description: 'True if the data is simulated and comes from no venue.' }),
    state: Type.Unsafe<SourceState>(Type.Enum([...SOURCE_STATES])),
    reason: Type.String({ description: 'Reason for the state.' }),
    stateChangedAt: DateTime('Start of the current state'),
    instruments: Type.Array(InstrumentId),
    connections: Type.Integer({ description: 'Number of connections made since start.' }),
    reconnectAt: Nullable(DateTime('Time of the next connection attempt')),
    lastFrameAt: Nullable(DateTime('Time of the newest frame')),
    frames: Type.Integer({ description: 'Number of frames received since start.' }),
    framesPerSecond: Type.Number(),
    latencyMs: Nullable(
      Type.Number({ description: 'Latency, ms: receive time minus the time of the venue. Median of the newest frames.' }),
    ),
    consumed: Type.Record(Type.String(), Type.Integer(), { description: 'Frames processed, by kind.' }),
    ignored: Type.Record(Type.String(), Type.Integer(), { description: 'Frames of known kinds that were ignored, by kind.' }),
    refused: Type.Record(Type.String(), Type.Integer(), { description: 'Frames rejected to quarantine, by reason.' }),
    faults: Type.Record(Type.String(), Type.Integer(), { description: 'Faults of the feed, by kind.' }),
  },
  { $id: 'Source', description: 'A source with its state and statistics.' },
);
export type Source = Static<typeof Source>;

export const QuarantinedFrame = Type.Object(
  {
    receivedAt: DateTime('Receive time'),
    reason: Type.String(),
    detail: Type.String(),
    frame: Type.String({ description: 'First 512 characters of the frame.' }),
    bytes: Type.Integer(),
  },
  { $id: 'QuarantinedFrame', description: 'A frame in quarantine.' },
);
export type QuarantinedFrame = Static<typeof QuarantinedFrame>;
