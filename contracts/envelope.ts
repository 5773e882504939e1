import { type Static, Type } from 'typebox';

/** An event as the outside sees it: the fields have the meanings that CloudEvents gives them. */
export const EventEnvelope = Type.Object(
  {
    id: Type.String({ description: 'zone, epoch and seq joined by slashes: unique in the whole platform.' }),
    zone: Type.String({ description: 'The zone that decided: kind, a slash, key.', examples: ['instrument/binance:BTC-USDT'] }),
    kind: Type.String({ description: 'The kind of the zone.', examples: ['instrument'] }),
    seq: Type.Integer({ minimum: 1, description: 'Number of the event in its zone, without gaps.' }),
    epoch: Type.Integer({ minimum: 1, description: 'How often the zone has changed its owner.' }),
    type: Type.String({ description: 'What happened, in the past tense.', examples: ['TradeRecorded'] }),
    version: Type.Integer({ minimum: 1, description: 'Version of the zone kind that wrote the event.' }),
    time: Type.Number({ description: 'When it was decided, epoch ms.' }),
    tenant: Type.Optional(Type.String({ description: 'The customer it belongs to.' })),
    actor: Type.Optional(Type.String({ description: 'Who asked for it.' })),
    correlation: Type.Optional(Type.String({ description: 'Trace id: the same from the source frame to the stream event.' })),
    causation: Type.Optional(Type.String({ description: 'Id of the command that caused it.' })),
    data: Type.Unknown({ description: 'The fact itself.' }),
  },
  { $id: 'EventEnvelope', description: 'One event of the log.' },
);
export type EventEnvelope = Static<typeof EventEnvelope>;
