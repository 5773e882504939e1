import assert from 'node:assert/strict';
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { inTransaction, openedBy, openShared, transactionsEnded } from './open-shared.ts';

const PROGRAM = join(import.meta.dirname, 'open-shared-process.ts');

describe('a process that opens a store which others write to', { skip: process.platform !== 'linux' }, () => {
  const folder = mkdtempSync(join(tmpdir(), 'millrace-open-shared-'));
  // Its descriptors are inherited by the processes that are started.
  const store = openShared(folder, { maxDbs: 4 });
  const children: ChildProcess[] = [];
  after(async () => {
    for (const child of children) child.kill('SIGKILL');
    await store.close();
    rmSync(folder, { recursive: true, force: true });
  });

  function start(): { pid: number; child: ChildProcess; send(order: 'read' | 'open'): Promise<unknown> } {
    const child = fork(PROGRAM, [folder], { execArgv: [], stdio: ['ignore', 'ignore', 'inherit', 'ipc'] });
    children.push(child);
    const send = (order: string) => {
      child.send(order);
      return once(child, 'message');
    };
    return { pid: child.pid as number, child, send };
  }

  test('is waited for until it has opened the store, not only read its file', async () => {
    const { pid, send } = start();
    let isOpen: boolean | null = null;
    const opened = openedBy(pid, folder).then((result) => {
      isOpen = result;
    });
    for (let time = 0; time < 50; time++) await send('read');
    assert.equal(isOpen, null);
    await send('open');
    await opened;
    assert.equal(isOpen, true);
  });

  test('is not waited for when it has ended', async () => {
    const { pid, child, send } = start();
    await send('read');
    child.kill('SIGKILL');
    assert.equal(await openedBy(pid, folder), true);
  });

  test('is not waited for longer than the time limit', async () => {
    const { pid, send } = start();
    await send('read');
    assert.equal(await openedBy(pid, folder, 20), false);
  });
});

test('a process that ends waits for its open transactions, up to the time limit', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'millrace-transactions-'));
  const store = openShared(folder);
  const work = Promise.withResolvers<void>();
  const transaction = inTransaction(store, () => work.promise);
  await transactionsEnded(20);
  let isOver = false;
  const ended = transactionsEnded(60_000).then(() => {
    isOver = true;
  });
  await new Promise(setImmediate);
  assert.equal(isOver, false);
  work.resolve();
  await Promise.all([transaction, ended]);
  await store.close();
  rmSync(folder, { recursive: true, force: true });
});
