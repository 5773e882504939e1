import { OutsideCall, readBodyText } from '@millrace/resilience';
import type { MasterKey } from './master-key.ts';

/** Connection to a key of Vault’s transit engine. */
export interface VaultKeyOptions {
  /** Base URL of Vault or OpenBao. */
  readonly url: string;
  /** Token with the capability `update` on transit/encrypt/<key> and transit/decrypt/<key>. */
  readonly token: string;
  /** Name of a key of the transit engine. */
  readonly key: string;
  /** Mount path of the transit engine. */
  readonly mount: string;
}

/** Maximum size of a response. A wrapped data key has some hundreds of bytes. */
const RESPONSE_BYTES_MAX = 64 * 1024;

interface VaultResponse {
  readonly data?: Record<string, string>;
  readonly errors?: readonly string[];
}

/**
 * A master key in HashiCorp Vault, which wraps and unwraps data keys. The master key never leaves Vault. To rotate it, run
 * `vault write -f transit/keys/<key>/rotate`; data keys wrapped before stay readable.
 * See https://developer.hashicorp.com/vault/api-docs/secret/transit
 */
export function vaultMasterKey({ url, token, key, mount }: VaultKeyOptions): MasterKey {
  const calls = new OutsideCall({ name: 'vault', timeoutMs: 5_000, retriesMax: 3, breakAfter: 8, breakMs: 5_000, concurrentMax: 4 });
  async function request(operation: 'encrypt' | 'decrypt', body: object): Promise<Record<string, string>> {
    // Read the body within the call, so that the timeout covers it.
    const { ok, status, content } = await calls.run(async (signal) => {
      const response = await fetch(`${url}/v1/${mount}/${operation}/${encodeURIComponent(key)}`, {
        method: 'POST',
        headers: { 'x-vault-token': token, 'content-type': 'application/json' },
        body: JSON.stringify(body),
        signal,
      });
      return { ok: response.ok, status: response.status, content: parseResponse(await readBodyText(response, RESPONSE_BYTES_MAX)) };
    });
    const { data, errors = [] } = content;
    if (!ok || !data)
      throw new Error(
        `Vault at ${url} refused to ${operation} with the key "${key}" (${status}): ${errors.join('; ') || 'no error message'}`,
      );
    return data;
  }
  return {
    id: `vault-${key}`,
    wrap: async (dataKey) => {
      const { ciphertext = '' } = await request('encrypt', { plaintext: dataKey.toString('base64') });
      return Buffer.from(ciphertext).toString('base64url');
    },
    unwrap: async (wrapped) => {
      const { plaintext = '' } = await request('decrypt', { ciphertext: Buffer.from(wrapped, 'base64url').toString() });
      return Buffer.from(plaintext, 'base64');
    },
  };
}

/** The body as an object. Empty for anything else, such as the error page of a proxy: the caller then reports the status. */
function parseResponse(text: string): VaultResponse {
  try {
    const value: unknown = JSON.parse(text);
    return value !== null && typeof value === 'object' ? value : {};
  } catch {
    return {};
  }
}
