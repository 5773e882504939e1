import '@millrace/processes/quick-imports';
import { PRIVATE_UMASK } from './private-files.ts';

process.umask(PRIVATE_UMASK);

// Everything else is read only now, so that it is read quickly.
await import('./command-line.ts');
