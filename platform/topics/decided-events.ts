import { type EventBatch, kindOf } from '@millrace/kernel';

/** Counts decided events by `kind/type`. Taking the counts resets them. */
export class DecidedEvents {
  #counts = new Map<string, Map<string, number>>();

  count({ zone, events }: EventBatch): void {
    const kind = kindOf(zone);
    const types = this.#counts.get(kind) ?? new Map<string, number>();
    this.#counts.set(kind, types);
    for (const { type } of events) types.set(type, (types.get(type) ?? 0) + 1);
  }

  /** Counts since the last call, and resets them. */
  take(): [name: string, count: number][] {
    const taken = [...this.#counts].flatMap(([kind, types]) =>
      [...types].map(([type, count]): [string, number] => [`${kind}/${type}`, count]),
    );
    this.#counts = new Map();
    return taken;
  }
}
