import { OutsideCall, type OutsideCallStats } from '@millrace/resilience';

/** A letter as text: whoever reads it can see all that is in it. */
export interface EmailMessage {
  readonly to: string;
  readonly subject: string;
  readonly text: string;
}

export interface Post {
  /** Resolves when the mail server has taken it; throws when it would not, several times. */
  send(letter: EmailMessage): Promise<void>;
  stats(): OutsideCallStats;
  close(): void;
}

const TIMEOUT_MS = 15_000;
const CONNECTIONS_MAX = 4;
/** SMTP’s replies from 500 on are final (RFC 5321, section 4.2.1). */
const FINAL_REPLY = 500;

/** @param url smtp://user:password@host:port, or smtps:// for TLS from the first byte */
export async function openSmtp(url: string, from: string): Promise<Post> {
  // Loaded by those who use it.
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
  const outside = new OutsideCall({
    name: 'smtp',
    timeoutMs: TIMEOUT_MS,
    retriesMax: 3,
    breakAfter: 5,
    breakMs: 30_000,
    concurrentMax: CONNECTIONS_MAX,
    worthRetrying: (error) => ((error as { responseCode?: number }).responseCode ?? 0) < FINAL_REPLY,
  });
  return {
    send: (letter) => outside.run(async () => void (await transport.sendMail({ ...letter }))),
    stats: () => outside.stats(),
    close: () => transport.close(),
  };
}
