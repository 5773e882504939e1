import { createHash } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { RequestHook } from './request-hook.ts';

/** A year, as the preload lists ask for. */
const HSTS = { 'strict-transport-security': 'max-age=31536000; includeSubDomains' };

/** What answers of the API say to a browser that shows them as a page, or to whoever would keep them (OWASP REST Security Cheat Sheet). */
const API_HEADERS = {
  'content-security-policy': "default-src 'none'; frame-ancestors 'none'",
  'x-content-type-options': 'nosniff',
  'cache-control': 'no-store',
};

/** Adds what every answer says: its trace, and what browsers are to do with it. Put together once: there are many answers. */
export function responseHeaders(consoleFolder: string, isTls: boolean): RequestHook {
  const api = { ...API_HEADERS, ...(isTls && HSTS) };
  const pages = {
    'content-security-policy': contentPolicy(consoleFolder),
    'x-content-type-options': 'nosniff',
    'x-frame-options': 'DENY',
    'referrer-policy': 'no-referrer',
    'cross-origin-opener-policy': 'same-origin',
    'cross-origin-resource-policy': 'same-origin',
    'x-permitted-cross-domain-policies': 'none',
    ...(isTls && HSTS),
  };
  return (request, reply) => {
    void reply.headers(request.url.startsWith('/api/') ? api : pages).header('x-request-id', request.id);
  };
}

/**
 * What a page of ours may load and run: only what comes from here, and the one script that stands in the console’s page itself. Whatever
 * text gets into a page, it runs nothing and sends nothing away.
 */
function contentPolicy(consoleFolder: string): string {
  const page = join(consoleFolder, 'index.html');
  const inline = existsSync(page) ? [...readFileSync(page, 'utf8').matchAll(/<script>([\s\S]*?)<\/script>/g)] : [];
  const scripts = inline.map(([, script = '']) => `'sha256-${createHash('sha256').update(script).digest('base64')}'`);
  return [
    "default-src 'self'",
    ["script-src 'self'", ...scripts].join(' '),
    // Charts and lists set styles on elements.
    "style-src 'self' 'unsafe-inline'",
    "img-src 'self' data: blob:",
    "object-src 'none'",
    "base-uri 'none'",
    "form-action 'self'",
    "frame-ancestors 'none'",
  ].join('; ');
}
