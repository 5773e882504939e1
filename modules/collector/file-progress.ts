import type { FileMark, InstrumentId, InstrumentZones } from '@millrace/contracts';

/** Import progress of a file for one instrument. */
export class FileProgress {
  readonly file: string;
  /** Rows read so far. */
  at = 0;
  /** Rows imported before this read. */
  readonly #taken: number;

  /**
   * @param family see `FeedEvents.file`
   * @param known number of imported rows, by identity of the file
   * @throws Error when the file was imported in another order: its new rows cannot be told from the old ones
   */
  constructor(file: string, family: string, known: Readonly<Record<string, number>>) {
    // Also when it was in order at its import and is not now, or the reverse.
    const isKnownOtherwise = Object.keys(known).some((other) => other !== file && (other === family || other.startsWith(`${family}-`)));
    if (isKnownOtherwise)
      throw new Error(
        'Its rows are not, or were not, in order of time, and it has changed since it was imported: which rows are new cannot be told. Put new rows into a file of their own.',
      );
    this.file = file;
    this.#taken = known[file] ?? 0;
  }

  /** Counts a row. @returns whether it was imported before */
  countRow(): boolean {
    return ++this.at <= this.#taken;
  }

  get mark(): FileMark {
    return { file: this.file, at: this.at };
  }
}

/** Counts a row of the file that is read, if any. @returns whether it was imported before */
export function isTaken({ file }: { readonly file: FileProgress | null }): boolean {
  return file?.countRow() ?? false;
}

/** The position in the file that is read, if any. */
export function markOf(intake: { readonly file: FileProgress | null } | undefined): { from?: FileMark } {
  return intake?.file ? { from: intake.file.mark } : {};
}

/**
 * Progress of an instrument in a file that is read from its start. Rows of it that were sent before count as imported, also while their zone has not decided
 * them yet.
 * @throws Error when the record of the instrument cannot be read, or see `FileProgress`
 */
export function nextFile(
  { instrument, file: before }: { readonly instrument: InstrumentId; readonly file: FileProgress | null },
  market: Pick<InstrumentZones, 'recordOf' | 'filesOf'>,
  file: string,
  family: string,
): FileProgress {
  if (market.recordOf(instrument) === 'closed')
    throw new Error(
      `The zone of ${instrument} is not open, so it is not known which rows were imported. The file is read when it is open.`,
    );
  const known = market.filesOf(instrument);
  const sent = before?.file === file ? before.at : 0;
  return new FileProgress(file, family, { ...known, ...(sent > 0 && { [file]: Math.max(sent, known[file] ?? 0) }) });
}
