import { createHash } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { RequestHook } from './request-hook.ts';

/** One year, as the HSTS preload lists require. */
const HSTS = { 'strict-transport-security': 'max-age=31536000; includeSubDomains' };

/** Headers of API responses for browsers that show them as a page, and for caches (OWASP REST Security Cheat Sheet). */
const API_HEADERS = {
  'content-security-policy': "default-src 'none'; frame-ancestors 'none'",
  'x-content-type-options': 'nosniff',
  'cache-control': 'no-store',
};

/** Adds the headers of every response: its trace id and the security headers. They are built once, in advance. */
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
 * Content security policy of our pages: resources of this server only, and the inline script of the console’s page. Injected text cannot run scripts or
 * send data elsewhere.
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
