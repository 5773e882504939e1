/*
 * Takes the place of node:test in a mutation run: collects the tests instead of running them, so that they can be run in any
 * order, and stopped at the first that fails.
 */

export interface CollectedTest {
  readonly name: string;
  readonly run: () => unknown;
}

let collected: CollectedTest[] = [];
let path: string[] = [];

/** The tests collected since the last call. */
export function takeTests(): CollectedTest[] {
  const taken = collected;
  collected = [];
  return taken;
}

export function describe(name: string, body: () => void): void {
  path.push(name);
  body();
  path = path.slice(0, -1);
}

export function test(name: string, run: () => unknown): void {
  collected.push({ name: [...path, name].join(' > '), run });
}
