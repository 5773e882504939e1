import { type Logger, pino, stdSerializers } from 'pino';

export type { Logger };

/** Names whose values never reach a log line. */
const SECRETS = ['password', 'secret', 'token', 'apiKey', 'authorization', 'cookie'];

/** JSON lines on standard error, so that standard output stays free for the `ready` line and for results. */
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
