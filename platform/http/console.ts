import { existsSync } from 'node:fs';
import statics from '@fastify/static';
import type { FastifyInstance, FastifyPluginAsync } from 'fastify';
import { declareFiles } from './guard.ts';

/** Paths of the console that are not files: each gets its single page, signed in or not. */
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
  '/sign-in',
  '/sign-up',
  '/forgot-password',
  '/reset-password',
  '/verify-email',
];

/** Serves the built files of the console. Serves none when the folder is missing. */
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
    for (const page of PAGES)
      scope.get(page, { compress: {} }, (_request, reply) => reply.sendFile('index.html', { immutable: false, maxAge: 0 }));
  };
  await app.register(pages);
}
