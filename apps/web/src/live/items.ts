/** A message of a channel whose events have the state of one item each. */
interface ItemMessage<Item> {
  readonly event: string;
  /** The item; undefined for other events. */
  readonly item: Item | undefined;
  readonly position: string;
}

/** Whether more events of the current state follow the one at this position. */
export const isPartial = (position: string) => position.endsWith('-partial');

/** The newest state of the items of a channel, by id. */
export class Items<Item extends { readonly id: string }> {
  readonly #items = new Map<string, Item>();
  /** Items that the server may no longer have: after a gap it sends the state of all items. */
  #unconfirmed: Set<string> | null = null;

  get all(): ReadonlyMap<string, Item> {
    return new Map(this.#items);
  }

  add({ event, item, position }: ItemMessage<Item>): void {
    if (event === 'gap') this.#unconfirmed = new Set(this.#items.keys());
    if (!item) return this.#confirm(event, position);
    this.#items.set(item.id, item);
    this.#unconfirmed?.delete(item.id);
    this.#confirm(event, position);
  }

  /** Removes the unconfirmed items when the state is complete: its last message has a position without `-partial`. */
  #confirm(event: string, position: string): void {
    if (this.#unconfirmed === null || event === 'gap' || isPartial(position)) return;
    for (const id of this.#unconfirmed) this.#items.delete(id);
    this.#unconfirmed = null;
  }
}
