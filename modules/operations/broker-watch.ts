import type { AlertRules, EventStats } from '@millrace/contracts';
import type { HealthCheck } from '@millrace/health';
import type { EventLog } from '@millrace/log';
import type { AlertCondition } from '@millrace/module';

type BrokersStatus = NonNullable<EventStats['topics'][number]['brokers']>;

/** A topic with its log. */
export interface WatchedLog {
  readonly name: string;
  readonly log: Pick<EventLog, 'stats'>;
}

export interface BrokerParts {
  readonly topics: () => readonly WatchedLog[];
  readonly rules: Pick<AlertRules, 'unrecordedForMs'>;
}

/** State of the brokers of a log; null for a log that is on this machine. */
export function brokersStatus({ log }: WatchedLog): BrokersStatus | null {
  const { brokers } = log.stats();
  if (!brokers) return null;
  const { failure, replicas } = brokers;
  return {
    failure,
    shards: replicas.length,
    withoutLeader: replicas.filter(({ isLed }) => !isLed).length,
    underReplicated: replicas.filter((one) => one.inSync < one.replicas).length,
  };
}

/** Why the limit of the size of a log is compared with an estimate, and what to do. */
function unknownSize(topic: string, failure: string): string {
  return (
    `The brokers do not tell the size of the log of ${topic}: ${failure}. Allow the user of Millrace to Describe the cluster; ` +
    'until then log.retentionGiB is compared with an estimate.'
  );
}

/** Watches the brokers of logs that are in Kafka, for health checks and alerts. */
export class BrokerWatch {
  readonly #parts: BrokerParts;

  constructor(parts: BrokerParts) {
    this.#parts = parts;
  }

  /** A health check, not required: decided events go to the spool while brokers are missing. None when no log is in Kafka. */
  checks(): HealthCheck[] {
    if (this.#statuses().length === 0) return [];
    return [{ name: 'brokers', isRequired: false, check: () => this.#check() }];
  }

  *conditions(): Generator<AlertCondition> {
    const forMs = this.#parts.rules.unrecordedForMs;
    for (const [subject, { failure, shards, withoutLeader, underReplicated }] of this.#statuses()) {
      const unavailable = failure === null ? withoutLeader : Math.max(withoutLeader, 1);
      const about = { subject, threshold: 0, forMs } as const;
      if (unavailable > 0)
        yield { ...about, id: `log-unavailable/${subject}`, rule: 'log-unavailable', severity: 'critical', value: unavailable };
      if (underReplicated > 0 && shards > 0)
        yield { ...about, id: `under-replicated/${subject}`, rule: 'under-replicated', severity: 'warning', value: underReplicated };
    }
  }

  #check(): undefined {
    for (const [topic, { failure, shards, withoutLeader, underReplicated }] of this.#statuses()) {
      if (failure !== null)
        throw new Error(`The brokers of the log of ${topic} do not respond: ${failure}. Check that they run and can be reached.`);
      if (withoutLeader > 0)
        throw new Error(
          `${withoutLeader} of ${shards} shards of the log of ${topic} have no leader: too many brokers are down. Start them again.`,
        );
      if (underReplicated > 0)
        throw new Error(
          `${underReplicated} of ${shards} shards of the log of ${topic} have fewer in-sync replicas than replicas: a broker is down or behind. ` +
            'Events are safe; start the broker again before another one fails.',
        );
    }
    for (const { name, log } of this.#parts.topics()) {
      const sizeFailure = log.stats().brokers?.sizeFailure ?? null;
      if (sizeFailure !== null) throw new Error(unknownSize(name, sizeFailure));
    }
  }

  #statuses(): (readonly [topic: string, status: BrokersStatus])[] {
    return this.#parts.topics().flatMap((topic) => {
      const status = brokersStatus(topic);
      return status ? [[topic.name, status] as const] : [];
    });
  }
}
