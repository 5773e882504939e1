/** Slots that are kept when the ring is empty: as many as wait between two turns at the usual rates. */
const KEPT = 1_024;
const FIRST = 16;

/** First in, first out. Its room grows with what waits, never with what has passed through. */
export class Ring<Item> {
  #slots: (Item | undefined)[] = new Array(FIRST).fill(undefined);
  #read = 0;
  #written = 0;

  get size(): number {
    return this.#written - this.#read;
  }

  push(item: Item): void {
    if (this.#written - this.#read === this.#slots.length) this.#become(this.#slots.length * 2);
    this.#slots[this.#written++ & (this.#slots.length - 1)] = item;
  }

  /** The one that has waited longest; undefined when none does. */
  take(): Item | undefined {
    if (this.#read === this.#written) return undefined;
    const slot = this.#read++ & (this.#slots.length - 1);
    const item = this.#slots[slot];
    this.#slots[slot] = undefined;
    if (this.#read === this.#written) {
      this.#read = 0;
      this.#written = 0;
      if (this.#slots.length > KEPT) this.#become(FIRST);
    }
    return item;
  }

  /** @param room slots, a power of two */
  #become(room: number): void {
    const slots = new Array<Item | undefined>(room).fill(undefined);
    const { size } = this;
    for (let at = 0; at < size; at++) slots[at] = this.#slots[(this.#read + at) & (this.#slots.length - 1)];
    this.#slots = slots;
    this.#read = 0;
    this.#written = size;
  }
}
