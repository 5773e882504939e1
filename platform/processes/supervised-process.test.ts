import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import type { Logger } from '@millrace/telemetry';
import { TIME_FACTOR } from '@millrace/testing';
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

interface Text {
  readonly text: string;
}

/** Uses up all file descriptors, starts a supervised process, and frees them again when the start has failed. */
const WITHOUT_DESCRIPTORS = `
import { closeSync, openSync } from 'node:fs';
import { SupervisedProcess } from ${JSON.stringify(import.meta.resolve('./supervised-process.ts'))};
const [data, file] = process.argv.slice(2);
const used = [];
const log = ({ reason }, message) => {
  console.log(message, reason);
  for (const one of used) closeSync(one);
};
const child = new SupervisedProcess(
  { name: 'the echo', file, data, begin: () => [{ text: 'hello' }], stop: { text: 'stop' }, onMessage: ({ text }) => {
    console.log(text);
    void child.stop();
  } },
  { error: log, info: log },
);
try {
  for (;;) used.push(openSync('/dev/null'));
} catch {}
child.start();
`;

function folderWithEcho(context: TestContext): { readonly data: string; readonly file: string } {
  const data = mkdtempSync(join(tmpdir(), 'millrace-supervised-'));
  context.after(() => rmSync(data, { recursive: true, force: true }));
  const file = join(data, 'echo.mts');
  writeFileSync(file, ECHO);
  return { data, file };
}

test('a process that cannot be started, or has been killed, starts again and gets its first messages again', async (context) => {
  const { data, file } = folderWithEcho(context);
  const { execPath } = process;
  context.after(() => {
    process.execPath = execPath;
  });
  const logged: string[] = [];
  const log = (_: object, text: string) => {
    logged.push(text);
    // Only the first start fails.
    process.execPath = execPath;
  };
  let reply: (text: string) => void = () => {};
  const nextReply = () =>
    new Promise<string>((resolve) => {
      reply = resolve;
    });
  const child = new SupervisedProcess<Text, Text>(
    {
      name: 'the echo',
      file,
      data,
      begin: () => [{ text: 'hello' }],
      stop: { text: 'stop' },
      onMessage: ({ text }) => reply(text),
    },
    { error: log, info: log } as unknown as Logger,
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

test('a start that the system refuses with an exception is tried again', {
  skip: process.platform === 'win32' && 'Windows refuses it in another way',
}, async (context) => {
  const { data, file } = folderWithEcho(context);
  const reasons: string[] = [];
  const log = ({ reason }: { reason: string }) => reasons.push(reason);
  const replied = Promise.withResolvers<string>();
  const child = new SupervisedProcess<Text, Text>(
    {
      name: 'the echo',
      // Linux takes arguments of up to 128 KiB.
      get file() {
        return reasons.length === 0 ? 'x'.repeat(1024 * 1024 * 4) : file;
      },
      data,
      begin: () => [{ text: 'hello' }],
      stop: { text: 'stop' },
      onMessage: ({ text }) => replied.resolve(text),
    },
    { error: log, info: log } as unknown as Logger,
  );
  child.start();
  assert.equal(await replied.promise, 'hello!');
  assert.deepEqual(reasons, ['spawn E2BIG']);
  await child.stop();
});

test('a start that cannot be prepared starts no process, and is tried again', async (context) => {
  const { data, file } = folderWithEcho(context);
  const reasons: string[] = [];
  const log = ({ reason }: { reason: string }) => reasons.push(reason);
  let starts = 0;
  let reply: (text: string) => void = () => {};
  const replied = new Promise<string>((resolve) => {
    reply = resolve;
  });
  const child = new SupervisedProcess<Text, Text>(
    {
      name: 'the echo',
      file,
      data,
      begin: () => {
        if (++starts === 1) throw new Error('the socket cannot be removed');
        return [{ text: 'hello' }];
      },
      stop: { text: 'stop' },
      onMessage: ({ text }) => reply(text),
    },
    { error: log, info: log } as unknown as Logger,
  );
  child.start();
  assert.equal(child.pid, undefined);
  assert.equal(await replied, 'hello!');
  assert.deepEqual(reasons, ['the socket cannot be removed']);
  assert.equal(starts, 2);
  assert.deepEqual(readdirSync(join(data, 'processes')), [String(child.pid)]);
  await child.stop();
});

test('without a free file descriptor a start fails with the reason, and succeeds when there are some again', {
  skip: process.platform === 'win32' && 'Windows has no limit of descriptors',
}, (context) => {
  const { data, file } = folderWithEcho(context);
  const script = join(data, 'without.mts');
  writeFileSync(script, WITHOUT_DESCRIPTORS);
  const { stdout, stderr, status } = spawnSync('sh', ['-c', 'ulimit -n 80; exec "$@"', 'sh', process.execPath, script, data, file], {
    encoding: 'utf8',
    timeout: 30_000 * TIME_FACTOR,
  });
  assert.match(stdout, /^the echo cannot be started; the server tries again spawn .* EMFILE\nhello!\n$/, stderr);
  assert.equal(status, 0, stderr);
});
