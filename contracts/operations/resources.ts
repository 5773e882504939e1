import { type Static, Type } from 'typebox';
import { DateTime } from '../instant.ts';

const Nullable = <T extends Type.TSchema>(schema: T) => Type.Union([schema, Type.Null()]);

export const DeadLetter = Type.Object(
  {
    id: Type.Integer(),
    group: Type.String({ description: 'Consumer group that could not apply it.' }),
    partition: Type.Integer(),
    offset: Type.Integer(),
    zone: Type.String(),
    seq: Type.Integer(),
    reason: Type.String(),
    createdAt: DateTime('Time at which it was stored as a dead letter'),
    resumeFrom: Type.Optional(
      Type.Integer({
        minimum: 0,
        description: 'For reactors: index of the first command of the event that a replay sends, from 0.',
      }),
    ),
  },
  {
    $id: 'DeadLetter',
    description: 'A batch of events that a consumer group could not apply. It is kept until it is replayed or deleted.',
  },
);
export type DeadLetter = Static<typeof DeadLetter>;

export const DeadLetterContent = Type.Object(
  {
    deadLetter: DeadLetter,
    events: Type.Array(Type.Object({ seq: Type.Integer(), type: Type.String(), data: Type.Unknown() }), {
      description: 'Events of the dead letter.',
    }),
  },
  { $id: 'DeadLetterContent', description: 'A dead letter with its events.' },
);
export type DeadLetterContent = Static<typeof DeadLetterContent>;

const ConsumerGap = Type.Object({
  partition: Type.Integer(),
  from: Type.Integer({ description: 'First dropped offset.' }),
  to: Type.Integer({ description: 'First offset after the gap.' }),
  recordedAt: DateTime('Time at which the gap was detected or skipped'),
});

export const ConsumerGroupStatus = Type.Object(
  {
    group: Type.String(),
    state: Type.Unsafe<'running' | 'paused' | 'unavailable' | 'overtaken'>(
      Type.Enum(['running', 'paused', 'unavailable', 'overtaken'], {
        description: '`overtaken`: retention dropped events that the group had not read. It stops until they are skipped.',
      }),
    ),
    lag: Type.Integer({ description: 'Number of events in the log that the group has not read.' }),
    applied: Type.Integer({ description: 'Number of events read since start.' }),
    deadLetters: Type.Integer({
      description:
        'Number of dead letters that the group has stored since the start of the server, also those replayed or removed since. GET /api/v1/dead-letters lists those that wait.',
    }),
    failure: Nullable(Type.String({ description: 'Reason why the group cannot apply events. Null if it can.' })),
    offsets: Type.Array(Type.Integer(), { description: 'Next offset to read in each partition.' }),
    overtaken: Type.Array(ConsumerGap, {
      description: 'Ranges that retention dropped before the group read them, and that are not skipped yet.',
    }),
    gaps: Type.Array(ConsumerGap, { description: 'Ranges that the group skipped.' }),
  },
  { $id: 'ConsumerGroupStatus', description: 'A consumer group with its state and lag.' },
);
export type ConsumerGroupStatus = Static<typeof ConsumerGroupStatus>;

const ALERT_RULES = [
  'slow-tick',
  'ccu-drop',
  'duplicate',
  'errors',
  'long-queue',
  'snapshots-fail',
  'lag',
  'overtaken',
  'disk-low',
  'spool-full',
  'log-unwritable',
  'log-unavailable',
  'under-replicated',
  'candles-differ',
] as const;

export const Alert = Type.Object(
  {
    id: Type.String(),
    severity: Type.Unsafe<'critical' | 'warning'>(Type.Enum(['critical', 'warning'])),
    rule: Type.Unsafe<(typeof ALERT_RULES)[number]>(Type.Enum([...ALERT_RULES])),
    subject: Type.String({
      description: 'Zone, consumer group, instrument, topic, owner of the log or spool, player or item, `disk` or `world`.',
    }),
    value: Type.Number(),
    threshold: Type.Number(),
    startedAt: DateTime('Start of the alert'),
    endedAt: Nullable(DateTime('End of the alert. Null while it is active')),
  },
  { $id: 'Alert', description: 'An alert for operators.' },
);
export type Alert = Static<typeof Alert>;

export const EventStats = Type.Object(
  {
    types: Type.Array(Type.Object({ kind: Type.String(), type: Type.String(), perSecond: Type.Number(), total: Type.Integer() }), {
      description: 'Events by zone kind and type. `total` counts from the start of this server.',
    }),
    topics: Type.Array(
      Type.Object({
        topic: Type.String({ description: 'Name of the topic, such as `market`, `worlds` or `accounts`.' }),
        partitions: Type.Array(Type.Object({ start: Type.Integer(), end: Type.Integer() })),
        bytes: Type.Integer(),
        brokers: Nullable(
          Type.Object(
            {
              failure: Nullable(Type.String({ description: 'Why the brokers could not be asked last time. Null when they could.' })),
              shards: Type.Integer({ description: 'Number of shards.' }),
              withoutLeader: Type.Integer({ description: 'Shards without a leader: they can be neither written nor read.' }),
              underReplicated: Type.Integer({ description: 'Shards with fewer in-sync replicas than replicas.' }),
            },
            { description: 'The Kafka brokers of the log. Null for an embedded log.' },
          ),
        ),
      }),
    ),
  },
  { $id: 'EventStats', description: 'Event counts by type, and the topics of the log.' },
);
export type EventStats = Static<typeof EventStats>;
