/** One problem of a configuration: the path of the key, its value, and the remedy. */
export interface ConfigProblem {
  readonly path: string;
  readonly value: unknown;
  readonly remedy: string;
  /** Description to print instead of the value. */
  readonly found?: string;
}

/** All problems of a configuration, in one message with remedies. */
export class ConfigError extends Error {
  readonly problems: readonly ConfigProblem[];

  constructor(origin: string, problems: readonly ConfigProblem[]) {
    const lines = problems.map(
      ({ path, value, remedy, found }) => `  ${path || '(the whole file)'}: ${found ?? shown(value)}\n    ${remedy}`,
    );
    super(`The configuration (${origin}) is invalid:\n${lines.join('\n')}`);
    this.name = 'ConfigError';
    this.problems = problems;
  }
}

function shown(value: unknown): string {
  if (value === undefined) return 'is missing';
  const text = JSON.stringify(value);
  return text.length > 120 ? `${text.slice(0, 120)}…` : text;
}
