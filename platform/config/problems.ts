/** One thing that is wrong: where, what stands there, what to do. */
export interface ConfigProblem {
  readonly path: string;
  readonly value: unknown;
  readonly remedy: string;
  /** What is there, in words, where that says more than the value. */
  readonly found?: string;
}

/** Everything that is wrong with a configuration, in one message that a person can act on. */
export class ConfigError extends Error {
  readonly problems: readonly ConfigProblem[];

  constructor(origin: string, problems: readonly ConfigProblem[]) {
    const lines = problems.map(
      ({ path, value, remedy, found }) => `  ${path || '(the whole file)'}: ${found ?? shown(value)}\n    ${remedy}`,
    );
    super(`the configuration (${origin}) cannot be used:\n${lines.join('\n')}`);
    this.name = 'ConfigError';
    this.problems = problems;
  }
}

function shown(value: unknown): string {
  if (value === undefined) return 'is missing';
  const text = JSON.stringify(value);
  return text.length > 120 ? `${text.slice(0, 120)}…` : text;
}
