import { ProduceAcks, Producer } from '@platformatic/kafka';
import type { StoredRecord } from '../shard-records.ts';

export interface BareProducer {
  /** Resolves when all in-sync replicas have the records. */
  send(records: readonly StoredRecord[]): Promise<void>;
  close(): Promise<void>;
}

/** The idempotent producer of the client library, on partition 0 of a topic. */
export function openBareProducer(addresses: readonly string[], topic: string): BareProducer {
  const producer = new Producer<Buffer, Buffer, Buffer, Buffer>({
    clientId: 'bare',
    bootstrapBrokers: [...addresses],
    idempotent: true,
    acks: ProduceAcks.ALL,
  });
  return {
    send: async (records) => {
      const messages = records.map(({ key, value }) => ({ topic, partition: 0, value, ...(key && { key }) }));
      await producer.send({ messages });
    },
    close: async () => {
      await producer.close();
    },
  };
}
