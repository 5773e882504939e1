import { type Static, Type } from 'typebox';

/** An event as clients and operators see it. The fields have the meanings of CloudEvents. */
export const EventEnvelope = Type.Object(
  {
    id: Type.String({ description: 'Event id: zone, epoch and seq joined by slashes. Unique in the platform.' }),
    zone: Type.String({ description: 'Zone that decided the event: kind, slash, key.', examples: ['instrument/binance:BTC-USDT'] }),
    kind: Type.String({ description: 'Kind of the zone.', examples: ['instrument'] }),
    seq: Type.Integer({ minimum: 1, description: 'Number of the event in its zone, from 1, without gaps.' }),
    epoch: Type.Integer({ minimum: 1, description: 'Number of ownership claims of the zone, from 1.' }),
    type: Type.String({ description: 'Type of the event, in the past tense.', examples: ['TradeRecorded'] }),
    version: Type.Integer({ minimum: 1, description: 'Version of the zone kind that wrote the event.' }),
    time: Type.Number({ description: 'Time of the decision, epoch ms.' }),
    tenant: Type.Optional(Type.String({ description: 'Id of the tenant that the event belongs to.' })),
    actor: Type.Optional(Type.String({ description: 'User or operator behind the command.' })),
    correlation: Type.Optional(Type.String({ description: 'Trace id, the same from the source frame or request to the stream event.' })),
    causation: Type.Optional(Type.String({ description: 'Id of the command that caused the event.' })),
    data: Type.Unknown({ description: 'Data of the event. Its fields depend on the type.' }),
  },
  { $id: 'EventEnvelope', description: 'An event of the log.' },
);
export type EventEnvelope = Static<typeof EventEnvelope>;
