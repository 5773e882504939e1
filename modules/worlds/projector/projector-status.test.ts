import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { appendTo } from '@millrace/log/testing';
import type { Logger } from '@millrace/telemetry';
import { until } from '@millrace/testing';
import { EMBEDDED, openStores, StoreOpenings } from '@millrace/topics';
import { ProjectorHandle } from './projector-handle.ts';
import { projectorStatus, savedProgress } from './projector-status.ts';

const logger = { info: () => {}, warn: () => {}, error: () => {} } as unknown as Logger;
const batch = (firstSeq: number) => ({
  zone: 'world/0-0',
  epoch: 0,
  firstSeq,
  version: 1,
  time: 1,
  events: [{ type: 'Ticked' }],
  metas: null,
});

describe('the status of the projector', () => {
  test('the reason is shown while the tables cannot be read; a killed or suspended process is unavailable, and its lag counts on', async (context) => {
    const folder = mkdtempSync(join(tmpdir(), 'millrace-projector-'));
    const stores = openStores(folder);
    const { log } = stores;
    // Nothing listens at port 1.
    const projector = new ProjectorHandle({ folder, log: EMBEDDED }, { url: 'postgres://nobody@127.0.0.1:1/none' }, logger);
    context.after(async () => {
      await projector.stop();
      await stores.close();
      rmSync(folder, { recursive: true, force: true });
    });
    const saved = savedProgress(log);
    const status = () => projectorStatus(projector, log, saved);
    const opening = new StoreOpenings(folder, stores, () => {});
    let pid = 0;
    const next = opening.next.bind(opening);
    context.mock.method(opening, 'next', (...[ofProcess, ...rest]: Parameters<typeof next>) => {
      pid = ofProcess;
      next(ofProcess, ...rest);
    });
    projector.opensBy(opening);
    await appendTo(log, [batch(1)]);
    assert.deepEqual([status().state, status().lag, status().failure], ['unavailable', 1, 'It is starting.']);
    projector.start();
    await until(() => /ECONNREFUSED/.test(status().failure ?? ''), 'the projector reports that its tables cannot be read');
    assert.deepEqual([status().state, status().lag], ['running', 1]);
    process.kill(pid, 'SIGKILL');
    await until(() => status().state === 'unavailable', 'a killed projector is unavailable');
    await appendTo(log, [batch(2)]);
    await until(() => status().state === 'running' && status().lag === 2, 'the next process reports');
    process.kill(pid, 'SIGSTOP');
    const now = performance.now.bind(performance);
    context.mock.method(performance, 'now', () => now() + 10_001);
    await until(() => status().state === 'unavailable', 'a suspended projector is unavailable');
    await appendTo(log, [batch(3)]);
    assert.deepEqual([status().lag, status().failure], [3, 'Its process does not respond.']);
    process.kill(pid, 'SIGCONT');
    await until(() => status().state === 'running' && status().lag === 3, 'a continued projector is right again by itself');
  });
});
