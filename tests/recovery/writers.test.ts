import assert from 'node:assert/strict';
import { type ChildProcess, fork } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { openedBy } from '@millrace/lmdb';
import { openLmdbLog } from '@millrace/log';
import { until } from '@millrace/testing';

/*
 * The law of a log with several writing processes: committed events stay, whichever process is killed or opens the log meanwhile.
 */

const PROGRAM = join(import.meta.dirname, 'writers-process.ts');
const WRITERS = 4;
const KILLS = Number(process.env.WRITER_KILLS ?? 24);
const ENDS = Number(process.env.WRITER_ENDS ?? 12);

describe('a log with several writers', () => {
  const folder = mkdtempSync(join(tmpdir(), 'millrace-writers-'));
  const log = openLmdbLog(folder);
  const writers = new Map<number, { child: ChildProcess; seq: number; wrong: string | null }>();
  after(async () => {
    for (const { child } of writers.values()) child.kill('SIGKILL');
    await log.close();
    rmSync(folder, { recursive: true, force: true });
  });

  async function start(number: number): Promise<void> {
    // Its output after a fault is not checked.
    const child = fork(PROGRAM, [folder, `zone/${number}`], { stdio: ['ignore', 'ignore', 'ignore', 'ipc'] });
    const writer = { child, seq: 0, wrong: null as string | null };
    const heard = new Set<string>();
    child.on('message', (message: { seq?: number; wrong?: string }) => {
      for (const name of Object.keys(message)) heard.add(name);
      writer.seq = message.seq ?? writer.seq;
      writer.wrong = message.wrong ?? writer.wrong;
    });
    writers.set(number, writer);
    await until(() => heard.has('ready'), 'a writer is there');
    await log.pauseWrites(async () => {
      child.send('open');
      assert.ok(await openedBy(child.pid ?? 0, folder), 'it has opened the log');
    });
    await until(() => writer.seq > 0 || writer.wrong !== null, 'it writes');
  }
  const wrongs = () => [...writers.values()].flatMap(({ wrong }) => wrong ?? []);

  test('is not written while it is paused', async () => {
    await Promise.all(Array.from({ length: WRITERS }, (_none, number) => start(number)));
    await log.pauseWrites(async () => {
      const before = log.stats().partitions.map(({ end }) => end);
      // Enough time for many writes of each writer.
      await new Promise((resolve) => setTimeout(resolve, 300));
      assert.deepEqual(
        log.stats().partitions.map(({ end }) => end),
        before,
      );
    });
    assert.deepEqual(wrongs(), []);
  });

  // A process that dies between being woken and taking the lock loses the wake-up (a robust futex knows only its owner, not whom it woke). Others then
  // wait until two processes contend for the lock, which happens whenever a process opens the store under `pauseWrites`.
  test('never blocks longer than until the next process opens it, at whatever moment a writer ends', async () => {
    for (let end = 0; end < ENDS; end++) {
      const { child } = writers.get(0) as { child: ChildProcess };
      child.send(end % 2 === 0 ? 'exit' : 'throw');
      await until(() => child.exitCode !== null || child.signalCode !== null, 'it has ended');
      await start(0);
      const before = writers.get(1)?.seq ?? 0;
      await until(() => (writers.get(1)?.seq ?? 0) > before, 'another one writes');
      assert.deepEqual(wrongs(), []);
    }
  });

  test('keeps all committed events while writers are killed and restarted', async () => {
    for (let kill = 0; kill < KILLS; kill++) {
      // The first is never killed.
      const number = 1 + (kill % (WRITERS - 1));
      const { child } = writers.get(number) as { child: ChildProcess };
      child.kill('SIGKILL');
      await start(number);
      assert.deepEqual(wrongs(), []);
    }
    for (const { child } of writers.values()) child.kill('SIGKILL');
    await log.close();
    const again = openLmdbLog(folder);
    for (const [number, { seq }] of writers) {
      let last = 0;
      for await (const batch of again.read(`zone/${number}`, 0, null)) {
        assert.equal(batch.firstSeq, last + 1);
        last = batch.firstSeq + batch.events.length - 1;
      }
      assert.ok(last >= seq, `the log has zone ${number} up to ${last}, and had taken ${seq}`);
    }
    await again.close();
  });
});
