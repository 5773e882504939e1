import type { FileMark } from '@millrace/contracts';

/** How much of a file has been read for one instrument. */
export class FileProgress {
  readonly file: string;
  /** Rows read so far. */
  at = 0;
  /** Rows taken before this reading of the file. */
  readonly #taken: number;

  /**
   * @param family name that the file has when its rows are in order, see `FeedEvents.file`
   * @param known rows taken of each file that was imported
   * @throws Error when the file was imported in another order: then it is not known which rows are new
   */
  constructor(file: string, family: string, known: Readonly<Record<string, number>>) {
    // Also one that was in order when it was imported and is not now, or the other way round.
    const isKnownOtherwise = Object.keys(known).some((other) => other !== file && (other === family || other.startsWith(`${family}-`)));
    if (isKnownOtherwise)
      throw new Error(
        'Its rows are not, or were not, in order of time, and it has changed since it was imported: which rows are new cannot be told. Put new rows into a file of their own.',
      );
    this.file = file;
    this.#taken = known[file] ?? 0;
  }

  /** Counts a row; true when it was taken before. */
  countRow(): boolean {
    return ++this.at <= this.#taken;
  }

  get mark(): FileMark {
    return { file: this.file, at: this.at };
  }
}
