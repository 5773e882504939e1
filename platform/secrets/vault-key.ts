import { OutsideCall, readBodyText } from '@millrace/resilience';
import type { MasterKey } from './master-key.ts';

export interface VaultKeyOptions {
  /** Where Vault (or OpenBao) listens. */
  readonly url: string;
  /** A token that may `update` transit/encrypt/<key> and transit/decrypt/<key>. */
  readonly token: string;
  /** Name of a key of the transit engine. */
  readonly key: string;
  /** Where the transit engine is mounted. */
  readonly mount: string;
}

/** Longest response that is read. A wrapped data key takes some hundred bytes. */
const RESPONSE_BYTES_MAX = 64 * 1024;

interface VaultResponse {
  readonly data?: Record<string, string>;
  readonly errors?: readonly string[];
}

/**
 * A master key that HashiCorp Vault keeps: data keys are sent there to be wrapped and unwrapped, the master key never leaves it. Vault replaces it
 * by `vault write -f transit/keys/<key>/rotate`; what was wrapped before stays readable.
 * See https://developer.hashicorp.com/vault/api-docs/secret/transit
 */
export function vaultMasterKey({ url, token, key, mount }: VaultKeyOptions): MasterKey {
  const calls = new OutsideCall({ name: 'vault', timeoutMs: 5_000, retriesMax: 3, breakAfter: 8, breakMs: 5_000, concurrentMax: 4 });
  async function ask(operation: 'encrypt' | 'decrypt', body: object): Promise<Record<string, string>> {
    // Read within the call: its time is not over before the body is there.
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
        `Vault at ${url} refused to ${operation} with the key "${key}" (${status}): ${errors.join('; ') || 'no reason given'}`,
      );
    return data;
  }
  return {
    id: `vault-${key}`,
    wrap: async (dataKey) => {
      const { ciphertext = '' } = await ask('encrypt', { plaintext: dataKey.toString('base64') });
      return Buffer.from(ciphertext).toString('base64url');
    },
    unwrap: async (wrapped) => {
      const { plaintext = '' } = await ask('decrypt', { ciphertext: Buffer.from(wrapped, 'base64url').toString() });
      return Buffer.from(plaintext, 'base64');
    },
  };
}

/** What is no JSON object, such as the page of a proxy, says nothing: the status has to do. */
function parseResponse(text: string): VaultResponse {
  try {
    const value: unknown = JSON.parse(text);
    return value !== null && typeof value === 'object' ? value : {};
  } catch {
    return {};
  }
}
