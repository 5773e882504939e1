export { Envelope, SecretError } from './envelope.ts';
export { KEY_BYTES, localMasterKey, type MasterKey } from './master-key.ts';
export { completeFiles, createPrivateFile, fileSecrets, InstallationSecrets, type SecretStore } from './secret-store.ts';
export { sealedSecrets, tableSecrets } from './table-secrets.ts';
export { vaultMasterKey } from './vault-key.ts';
