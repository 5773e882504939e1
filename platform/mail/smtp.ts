import { OutsideCall, type OutsideCallStats } from '@millrace/resilience';

/** A plain-text mail: it has no hidden content such as tracking images. */
export interface TextMail {
  readonly to: string;
  readonly subject: string;
  readonly text: string;
}

/** Connection to a mail server. */
export interface SmtpClient {
  /** Resolves when the mail server has accepted the mail. @throws when the retries are used up, or the refusal is permanent */
  send(mail: TextMail): Promise<void>;
  stats(): OutsideCallStats;
  close(): void;
}

const TIMEOUT_MS = 15_000;
const CONNECTIONS_MAX = 4;
/** SMTP replies from 500 on are permanent failures (RFC 5321, section 4.2.1). */
const PERMANENT_FAILURE = 500;

/** Opens a client for a mail server. @param url smtp://user:password@host:port; smtps:// for TLS from the start. @param from sender address */
export async function openSmtp(url: string, from: string): Promise<SmtpClient> {
  // Loaded on demand: only servers with a configured mail server need it.
  const { createTransport } = await import('nodemailer');
  const transport = createTransport(
    {
      url,
      pool: true,
      maxConnections: CONNECTIONS_MAX,
      connectionTimeout: TIMEOUT_MS,
      greetingTimeout: TIMEOUT_MS,
      socketTimeout: TIMEOUT_MS,
    },
    { from },
  );
  const calls = new OutsideCall({
    name: 'smtp',
    timeoutMs: TIMEOUT_MS,
    retriesMax: 3,
    breakAfter: 5,
    breakMs: 30_000,
    concurrentMax: CONNECTIONS_MAX,
    isRetryable: (error) => ((error as { responseCode?: number }).responseCode ?? 0) < PERMANENT_FAILURE,
  });
  return {
    send: (mail) => calls.run(async () => void (await transport.sendMail({ ...mail }))),
    stats: () => calls.stats(),
    close: () => transport.close(),
  };
}
