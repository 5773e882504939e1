import { readFileSync, unwatchFile, watchFile } from 'node:fs';
import type { Server } from 'node:https';
import { createSecureContext, type SecureContextOptions } from 'node:tls';

/** Interval at which the files are polled, ms. Only polling notices all ways to replace them: renaming, linking and overwriting. */
const POLL_MS = 2_000;

export interface TlsFiles {
  readonly certFile: string;
  readonly keyFile: string;
}

/** Reads certificate and key. @throws when a file cannot be read, or the key does not match the certificate */
export function tlsOptions({ certFile, keyFile }: TlsFiles): SecureContextOptions {
  const options = { cert: readFileSync(certFile), key: readFileSync(keyFile), minVersion: 'TLSv1.3' } as const;
  createSecureContext(options);
  return options;
}

/**
 * Loads a new certificate without a restart, for new connections. If it is not valid, `onReload` gets the error and the old one stays in use.
 * @returns a function that stops the polling
 */
export function reloadTls(server: Server, files: TlsFiles, onReload: (failure: Error | null) => void): () => void {
  const reload = () => {
    try {
      server.setSecureContext(tlsOptions(files));
      onReload(null);
    } catch (error) {
      onReload(error as Error);
    }
  };
  for (const file of [files.certFile, files.keyFile]) watchFile(file, { interval: POLL_MS, persistent: false }, reload);
  return () => {
    for (const file of [files.certFile, files.keyFile]) unwatchFile(file, reload);
  };
}
