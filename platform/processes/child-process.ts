import type { ChildProcess } from 'node:child_process';
import type { Duplex } from 'node:stream';
import { type Link, openLink } from '@millrace/cluster';
import { spawnLinked, takeEarly } from './early-process.ts';
import { recordProcess } from './own-processes.ts';

/** How to start a child process. */
export interface ChildOptions<In extends object> {
  /** Name in its record and in log messages. */
  readonly name: string;
  /** File that it runs. */
  readonly file: string;
  /** Options of Node. */
  readonly flags: readonly string[];
  /** Data folder of the server, which keeps a record of the process while it runs. */
  readonly data: string;
  readonly onMessage: (message: In) => void;
}

/** Why a process has ended: its exit code or signal, or the error that prevented its start. */
export interface ProcessEnd {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly error: Error | null;
}

/** A running child process with a message link to it. */
export interface LinkedProcess<Out extends object> {
  /** Undefined when it could not be started. */
  readonly pid: number | undefined;
  readonly send: Link<Out>['send'];
  readonly kill: () => void;
  /** Settles when the process has ended or could not be started. */
  readonly ended: Promise<ProcessEnd>;
}

/**
 * Starts a child process of Node, or takes over the one that was started early. Messages go over a pipe, which is file descriptor 3 of the child; its output goes to that of this process.
 * Never throws: `ended` has the error of a process that could not be started.
 */
export function startLinkedProcess<Out extends object, In extends object>(options: ChildOptions<In>): LinkedProcess<Out> {
  const { name, file, flags, data, onMessage } = options;
  let child: ChildProcess;
  try {
    child = takeEarly(file) ?? spawnLinked(file, flags);
  } catch (error) {
    // Node emits some errors, and throws the others, as that of a machine without free memory.
    return notStarted(Promise.resolve({ code: null, signal: null, error: error as Error }));
  }
  const ended = endOf(child);
  // Without a free file descriptor there are no pipes, and the error follows.
  const pipe = child.stdio?.[3] as Duplex | undefined;
  if (child.pid === undefined || !pipe) {
    pipe?.on('error', () => {}).destroy();
    return notStarted(ended);
  }
  const forget = recordProcess(data, child.pid, name);
  const link = openLink<Out, In>(pipe, { onMessage, onClose: () => {} });
  const cleaned = ended.then((end) => {
    forget();
    link.close();
    return end;
  });
  return { pid: child.pid, send: link.send, kill: () => void child.kill('SIGKILL'), ended: cleaned };
}

function notStarted<Out extends object>(ended: Promise<ProcessEnd>): LinkedProcess<Out> {
  return { pid: undefined, send: () => {}, kill: () => {}, ended };
}

function endOf(child: ChildProcess): Promise<ProcessEnd> {
  return new Promise((resolve) => {
    // Also emitted when a signal cannot be sent to a running process.
    child.on('error', (error) => {
      if (child.pid === undefined) resolve({ code: null, signal: null, error });
    });
    child.once('exit', (code, signal) => resolve({ code, signal, error: null }));
  });
}
