import type { Journal, ShardWriter } from '../ports.ts';

/** A log whose calls wait for `pass`, and fail when it rejects: before they reach the log. */
export function guardedLog(log: Journal, pass: (call: 'own' | 'append' | 'read' | 'follow') => Promise<unknown>): Journal {
  const guarded = (writer: ShardWriter): ShardWriter => ({
    epoch: writer.epoch,
    headOf: (zone) => writer.headOf(zone),
    append: (batches) => pass('append').then(() => writer.append(batches)),
    ended: writer.ended,
    release: () => writer.release(),
  });
  return {
    inFlightMax: log.inFlightMax,
    shardOf: (zone) => log.shardOf(zone),
    own: (...claim) =>
      pass('own')
        .then(() => log.own(...claim))
        .then(guarded),
    placeOf: (shard) => pass('follow').then(() => log.placeOf(shard)),
    async *follow(...given) {
      for await (const part of log.follow(...given)) {
        await pass('follow');
        yield part;
      }
    },
    async *read(...given) {
      await pass('read');
      yield* log.read(...given);
    },
  };
}
