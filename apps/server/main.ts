import '@millrace/processes/quick-imports';
import { PRIVATE_UMASK } from './private-files.ts';

process.umask(PRIVATE_UMASK);

// Imported after `quick-imports`, so that it speeds up all other imports.
await import('./command-line.ts');
