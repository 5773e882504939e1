/** A value that is read in the background, one read at a time, so that who asks for it never waits for a store that does not respond. */
export class LastKnown<Value> {
  readonly #read: () => Promise<Value>;
  #value: Value;
  #isReading = false;

  /** @param initial the value until the first read has succeeded */
  constructor(read: () => Promise<Value>, initial: Value) {
    this.#read = read;
    this.#value = initial;
  }

  /** The last known value. It is read again for the next call; after a failed read it stays as it is. */
  get(): Value {
    if (!this.#isReading) void this.#refresh();
    return this.#value;
  }

  async #refresh(): Promise<void> {
    this.#isReading = true;
    try {
      this.#value = await this.#read();
    } catch {
      // Others report that the store cannot be read.
    } finally {
      this.#isReading = false;
    }
  }
}
