import { UserError } from '@millrace/base/user-error';

/** Exit code of a command whose reader has closed the pipe, such as `head`: that of a program that ends by SIGPIPE. */
const EXIT_PIPE_CLOSED = 141;

/** Standard output cannot be written. */
export class OutputFailed extends UserError {
  readonly exitCode: number;

  constructor(failure: NodeJS.ErrnoException) {
    super(`standard output cannot be written: ${failure.message}`, 'What was written so far is incomplete. Correct it, then run it again.');
    this.exitCode = failure.code === 'EPIPE' ? EXIT_PIPE_CLOSED : 1;
  }
}

let failure: OutputFailed | null = null;

/** Remembers the first failure of standard output. Without a listener it would end the process with open resources. */
export function watchOutput(): void {
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    failure ??= new OutputFailed(error);
  });
}

/** @throws OutputFailed once an earlier write has failed */
export function writeOutput(text: string): void {
  if (failure) throw failure;
  process.stdout.write(text);
}

/** Resolves when everything is written. @throws OutputFailed */
export async function outputWritten(): Promise<void> {
  // The error event of a failed write comes before the callback of a later one.
  if (!failure) await new Promise((resolve) => process.stdout.write('', resolve));
  if (failure) throw failure;
}
