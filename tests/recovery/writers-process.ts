import { openLmdbLog } from '@millrace/log';

/*
 * Appends to a log for as long as it lives, one batch after another, and tells when something is not as it should be. Opens the log and ends when it is told to.
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
  const log = openLmdbLog(folder);
  const { epoch, lastSeq } = await log.claim(zone);
  for (let seq = lastSeq; ; seq += EVENTS) {
    const events = Array.from({ length: EVENTS }, () => ({ type: 'Written', text: 'x'.repeat(300) }));
    const batch = { zone, epoch, firstSeq: seq + 1, version: 1, time: seq, events, metas: null };
    // Refused with a gap, when what the log had taken before is not there any more.
    await new Promise<void>((taken, failed) => void log.append([batch], taken).catch(failed));
    tell({ seq: seq + EVENTS });
  }
}
