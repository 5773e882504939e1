import { openLmdbLog } from '@millrace/log';

/*
 * Appends batches to a log until it is killed, and reports errors. Opens the log and ends on request.
 */

const EVENTS = 60;
const [folder = '', zone = ''] = process.argv.slice(2);
const tell = (message: object) => process.send?.(message);

process.on('message', (order: 'open' | 'exit' | 'throw') => {
  if (order === 'exit') process.exit(1);
  if (order === 'throw') throw new Error('a fault');
  void write().catch((error) => tell({ wrong: String(error) }));
});
tell({ ready: true });

async function write(): Promise<void> {
  // Each process owns a shard.
  const log = openLmdbLog(folder, { name: 'by number', shardOf: (address) => Number(address.split('/')[1]) });
  const writer = await log.own(log.shardOf(zone), { lease: { leftMs: () => 1 }, onPrevious: () => {} });
  const { epoch } = writer;
  for (let seq = writer.headOf(zone); ; seq += EVENTS) {
    const events = Array.from({ length: EVENTS }, () => ({ type: 'Written', text: 'x'.repeat(300) }));
    const batch = { zone, epoch, firstSeq: seq + 1, version: 1, time: seq, events, metas: null };
    // The log refuses the batch as a gap when committed events are lost.
    await writer.append([batch]);
    tell({ seq: seq + EVENTS });
  }
}
