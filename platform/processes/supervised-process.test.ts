import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import type { Logger } from '@millrace/telemetry';
import { SupervisedProcess } from './supervised-process.ts';

/** A child that answers each message, until one of them is "stop". */
const ECHO = `
import { Socket } from 'node:net';
import { openLink } from ${JSON.stringify(import.meta.resolve('@millrace/cluster'))};
const link = openLink(new Socket({ fd: 3, readable: true, writable: true }), {
  onMessage: (message) => (message.text === 'stop' ? process.exit(0) : link.send({ text: message.text + '!' })),
  onClose: () => process.exit(0),
});
`;

test('a process that cannot be started, or has been killed, starts again and gets its first messages again', async (context) => {
  const data = mkdtempSync(join(tmpdir(), 'millrace-supervised-'));
  const { execPath } = process;
  context.after(() => {
    process.execPath = execPath;
    rmSync(data, { recursive: true, force: true });
  });
  const file = join(data, 'echo.mts');
  writeFileSync(file, ECHO);
  const logged: string[] = [];
  const log = (_: object, text: string) => {
    logged.push(text);
    // Only the first start fails.
    process.execPath = execPath;
  };
  const logger = { error: log, info: log } as unknown as Logger;
  let reply: (text: string) => void = () => {};
  const nextReply = () =>
    new Promise<string>((resolve) => {
      reply = resolve;
    });
  const child = new SupervisedProcess<{ text: string }, { text: string }>(
    {
      name: 'the echo',
      file,
      data,
      begin: () => [{ text: 'hello' }],
      stop: { text: 'stop' },
      onMessage: ({ text }) => reply(text),
    },
    logger,
  );
  process.execPath = join(data, 'missing');
  let replied = nextReply();
  child.start();
  assert.equal(await replied, 'hello!');
  assert.deepEqual(logged, ['the echo cannot be started; the server tries again']);
  replied = nextReply();
  process.kill(child.pid ?? 0, 'SIGKILL');
  assert.equal(await replied, 'hello!');
  assert.deepEqual(logged.slice(1), ['the echo has ended and will be restarted']);
  await child.stop();
  assert.equal(child.pid, undefined);
  assert.equal(child.send({ text: 'late' }), false);
});
