import { createHash } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import statics from '@fastify/static';
import type { FastifyInstance, FastifyPluginAsync } from 'fastify';
import { declareFiles } from './guard.ts';

/** Addresses of the console that are no files: all show its one page, before one is in and after. */
const PAGES = [
  '/instruments/*',
  '/sources',
  '/sources/*',
  '/worlds',
  '/worlds/*',
  '/events',
  '/account',
  '/tenants',
  '/tenants/*',
  '/connections',
  '/sign-in',
  '/sign-up',
  '/forgot-password',
  '/reset-password',
  '/verify-email',
];

/** The console’s built files; none are served when the folder is missing. */
export async function serveConsole(app: FastifyInstance, folder: string): Promise<void> {
  if (!existsSync(folder)) return;
  const pages: FastifyPluginAsync = async (scope) => {
    declareFiles(scope);
    await scope.register(statics, {
      root: folder,
      wildcard: false,
      immutable: true,
      maxAge: '365d',
      setHeaders: (response, path) => {
        if (path.endsWith('.html')) response.header('cache-control', 'no-cache');
      },
    });
    for (const page of PAGES) scope.get(page, (_request, reply) => reply.sendFile('index.html', { immutable: false, maxAge: 0 }));
  };
  await app.register(pages);
}

/**
 * What a page of ours may load and run: only what comes from here, and the one script that stands in the console’s page itself. Whatever
 * text gets into a page, it runs nothing and sends nothing away.
 */
export function contentPolicy(consoleFolder: string): Record<string, string[]> {
  const page = join(consoleFolder, 'index.html');
  const inline = existsSync(page) ? [...readFileSync(page, 'utf8').matchAll(/<script>([\s\S]*?)<\/script>/g)] : [];
  return {
    'default-src': ["'self'"],
    'script-src': ["'self'", ...inline.map(([, script = '']) => `'sha256-${createHash('sha256').update(script).digest('base64')}'`)],
    // Charts and lists set styles on elements.
    'style-src': ["'self'", "'unsafe-inline'"],
    'img-src': ["'self'", 'data:', 'blob:'],
    'object-src': ["'none'"],
    'base-uri': ["'none'"],
    'form-action': ["'self'"],
    'frame-ancestors': ["'none'"],
  };
}
