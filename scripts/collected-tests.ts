/*
 * Replaces node:test in a mutation run. It collects the tests instead of running them, so that they can run in any order and stop at the first
 * failure.
 */

/** A test with the names of its suites before its own, joined by ` > `. */
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

/** As `describe` of node:test. */
export function describe(name: string, body: () => void): void {
  path.push(name);
  body();
  path = path.slice(0, -1);
}

/** As `test` of node:test; only collects the test. */
export function test(name: string, run: () => unknown): void {
  collected.push({ name: [...path, name].join(' > '), run });
}
