/** What is told by mail, and why. */
export interface Mail {
  readonly to: string;
  readonly kind: 'verify' | 'reset' | 'known' | 'invite';
  readonly name: string;
  readonly link: string;
}

/** Sends mail; throws when it could not be handed over. */
export interface Mailer {
  send(mail: Mail): Promise<void>;
}
