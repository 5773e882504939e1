import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { SMTPServer } from 'smtp-server';

/** A real mail server that stores received mails. */
export interface Mailbox {
  /** Environment variables for a server that sends mail here. */
  readonly env: Record<string, string>;
  /** Resolves with the next mail to an address that has a link to this page. Each mail is returned once. */
  letterTo(address: string, page: string): Promise<string>;
  stop(): Promise<void>;
}

export async function startMailbox(): Promise<Mailbox> {
  const letters: { to: string; text: string }[] = [];
  let arrived: () => void = () => {};
  const smtp = new SMTPServer({
    authOptional: true,
    disabledCommands: ['STARTTLS'],
    onData: (stream, session, done) => {
      let raw = '';
      stream.on('data', (chunk) => {
        raw += chunk;
      });
      stream.on('end', () => {
        letters.push({ to: session.envelope.rcptTo[0]?.address ?? '', text: bodyOf(raw) });
        arrived();
        done();
      });
    },
  });
  smtp.listen(0, '127.0.0.1');
  await once(smtp.server, 'listening');
  const { port } = smtp.server.address() as AddressInfo;
  return {
    env: { MILLRACE_MAIL__URL: `smtp://127.0.0.1:${port}`, MILLRACE_MAIL__FROM: 'Millrace <mill@example.com>' },
    letterTo: async (address, page) => {
      for (;;) {
        const index = letters.findIndex(({ to, text }) => to === address && text.includes(`/${page}`));
        if (index >= 0) return (letters.splice(index, 1)[0] as { text: string }).text;
        await new Promise<void>((resolve) => {
          arrived = resolve;
        });
      }
    },
    stop: () => new Promise((resolve) => smtp.close(() => resolve())),
  };
}

/** The token in the link of a mail. */
export function tokenIn(text: string): string {
  return new URL(/http\S+/.exec(text)?.[0] ?? '').searchParams.get('token') ?? '';
}

/** The decoded text of a mail. */
function bodyOf(raw: string): string {
  const [head = '', ...rest] = raw.split('\r\n\r\n');
  const body = rest.join('\r\n\r\n');
  if (/transfer-encoding: base64/i.test(head)) return Buffer.from(body, 'base64').toString();
  if (!/transfer-encoding: quoted-printable/i.test(head)) return body;
  const bytes = body.replace(/=\r\n/g, '').replace(/=([0-9A-F]{2})/g, (_all, hex) => String.fromCharCode(Number.parseInt(hex, 16)));
  return Buffer.from(bytes, 'latin1').toString();
}
