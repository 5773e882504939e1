import './quick-imports.ts';

// Everything else is read only now, so that it is read quickly.
await import('./command-line.ts');
