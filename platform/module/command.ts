import type { Settings } from '@millrace/config';
import type { Database } from '@millrace/database';

/** Commands of a module on the command line, by their group: `millrace <group> <command>`. */
export type CommandGroups = Readonly<Record<string, CommandGroup>>;

export interface CommandGroup {
  readonly summary: string;
  readonly commands: Readonly<Record<string, CommandDefinition>>;
}

/** A command. Besides its own options it has `--config`, `--data`, `--host`, `--port` and `--demo`. */
export interface CommandDefinition {
  readonly summary: string;
  /** Positional arguments in their order: descriptions by name. */
  readonly arguments?: Readonly<Record<string, string>>;
  /** Options by name, without the dashes. */
  readonly options?: Readonly<Record<string, CommandOption>>;
  /**
   * Runs the command.
   * @param values arguments and options by name. An option without a value and a default is undefined when it is absent.
   * @throws UserError for what the user can correct
   */
  run(context: CommandContext, values: Readonly<Record<string, string | undefined>>): Promise<void> | void;
}

export interface CommandOption {
  /** Placeholder of its value, for the help. */
  readonly value: string;
  readonly summary: string;
  readonly default?: string;
}

/** What a command gets from the command line. */
export interface CommandContext {
  readonly settings: Settings;
  /** Folder of the user. Relative paths refer to it. */
  readonly folder: string;
  /** Writes to standard output. */
  readonly write: (text: string) => void;
  /** Sets the exit status 1: the command ran, and its result is negative. */
  readonly fail: () => void;
  /** Runs `work` with the database of the installation. Starts the embedded one when no server has it open. */
  withDatabase<T>(work: (database: Database) => Promise<T>): Promise<T>;
}
