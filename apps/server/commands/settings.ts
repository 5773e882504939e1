import { loadConfig, type Settings } from '@millrace/config';

export interface ServingFlags {
  readonly config?: string;
  readonly data?: string;
  readonly host?: string;
  readonly port?: number;
  readonly demo?: boolean;
  readonly role?: string;
}

/** Current folder of the user: npm runs scripts in the folder of the package. */
export function currentFolder(): string {
  return process.env.MILLRACE_CWD ?? process.cwd();
}

/** Settings of a command. Relative paths refer to the current folder of the user. @throws ConfigError */
export function settingsFor({ config, data, host, port, demo, role }: ServingFlags): Settings {
  return loadConfig({
    file: config,
    folder: currentFolder(),
    environment: process.env,
    flags: {
      ...(data !== undefined && { data }),
      ...(host !== undefined && { host }),
      ...(port !== undefined && { port }),
      ...(demo && { demo }),
      ...(role !== undefined && { role }),
    },
  });
}
