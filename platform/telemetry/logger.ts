import { type Logger, pino, stdSerializers } from 'pino';

export type { Logger };

/** Properties whose values are redacted in log lines. */
const SECRETS = ['password', 'secret', 'token', 'apiKey', 'authorization', 'cookie'];

/** Logger that writes JSON lines to standard error: standard output is for the `ready` line and for results. */
export function createLogger(level: string): Logger {
  return pino(
    {
      level,
      base: { service: 'millrace' },
      timestamp: () => `,"time":"${new Date().toISOString()}"`,
      formatters: { level: (label) => ({ level: label }) },
      serializers: { err: stdSerializers.err },
      redact: { paths: SECRETS.flatMap((name) => [name, `*.${name}`, `*.*.${name}`]), censor: '[secret]' },
    },
    pino.destination({ fd: 2, sync: true }),
  );
}
