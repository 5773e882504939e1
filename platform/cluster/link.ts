import type { Duplex } from 'node:stream';
import { FrameSplitter, LENGTH_BYTES, writeLength } from '@millrace/contracts/framing';
import { Packr } from 'msgpackr';

/** Maximum size of a group of messages, bytes. */
const GROUP_BYTES_MAX = 64 * 1024 * 1024;
/** Unread bytes above which the link is closed: the other process does not read. */
const BACKLOG_BYTES_MAX = 64 * 1024 * 1024;

/** Ordered messages to and from another process of this machine, until one of them ends. */
export interface Link<Out extends object> {
  send(message: Out): void;
  close(): void;
}

/**
 * A link over a pipe. All messages of a turn are written as one group, so that a single message costs no system call.
 * @param onMessage must not throw
 */
export function openLink<Out extends object, In extends object>(
  pipe: Duplex,
  events: { onMessage: (message: In) => void; onClose: () => void },
): Link<Out> {
  const packr = new Packr({ useRecords: true });
  const splitter = new FrameSplitter(GROUP_BYTES_MAX);
  let waiting: Out[] = [];
  let isClosed = false;

  const close = () => {
    if (isClosed) return;
    isClosed = true;
    pipe.destroy();
    events.onClose();
  };
  const flush = () => {
    const messages = waiting;
    waiting = [];
    if (isClosed) return;
    const body = packr.pack(messages);
    const group = Buffer.allocUnsafe(LENGTH_BYTES + body.length);
    writeLength(group, body.length);
    body.copy(group, LENGTH_BYTES);
    pipe.write(group);
    if (pipe.writableLength > BACKLOG_BYTES_MAX) close();
  };
  pipe.on('data', (chunk: Buffer) =>
    splitter.push(chunk, (body) => {
      for (const message of packr.unpack(body) as In[]) events.onMessage(message);
    }),
  );
  pipe.on('error', close);
  pipe.on('end', close);
  pipe.on('close', close);
  return {
    send: (message) => {
      if (waiting.push(message) === 1) setImmediate(flush);
    },
    close,
  };
}
