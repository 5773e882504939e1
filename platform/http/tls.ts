import { readFileSync, unwatchFile, watchFile } from 'node:fs';
import type { Server } from 'node:https';
import { createSecureContext, type SecureContextOptions } from 'node:tls';

/** Certificates are replaced by renaming, linking or writing over: looking is what notices all of them. */
const LOOK_EVERY_MS = 2_000;

export interface TlsFiles {
  readonly certFile: string;
  readonly keyFile: string;
}

/** @throws when a file cannot be read, or key and certificate do not belong together */
export function tlsOptions({ certFile, keyFile }: TlsFiles): SecureContextOptions {
  const options = { cert: readFileSync(certFile), key: readFileSync(keyFile), minVersion: 'TLSv1.3' } as const;
  createSecureContext(options);
  return options;
}

/**
 * Takes a new certificate into use without a restart, for connections that come after it. One that cannot be used is told of, and the old one stays.
 * @returns stops looking
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
  for (const file of [files.certFile, files.keyFile]) watchFile(file, { interval: LOOK_EVERY_MS, persistent: false }, reload);
  return () => {
    for (const file of [files.certFile, files.keyFile]) unwatchFile(file, reload);
  };
}
