import type { IncomingHttpHeaders, IncomingMessage } from 'node:http';
import { isIP } from 'node:net';
import { type Access, mayAccess, type Principal } from '@millrace/contracts';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { requireBodyDigests } from './body-digest.ts';
import type { Identify } from './caller.ts';
import { limitGuesses } from './guesses.ts';
import { isReplayed } from './idempotency.ts';
import { ApiProblem } from './problems.ts';
import { type Allowance, bucketOf, type Counted, type RateLimiter, sayAllowance } from './rate-limit.ts';
import type { RequestHook } from './request-hook.ts';

/*
 * Every route says beside itself what one needs to be allowed; a route that says nothing keeps the server from starting. Who asks is found
 * out once a request, before its body is read.
 */

declare module 'fastify' {
  interface FastifyContextConfig {
    /** What one needs to be allowed. */
    access?: Access;
    /** How much of one’s rate a request takes; 1 when nothing is said, 0 for what costs us nothing. */
    cost?: number;
  }
  interface FastifyRequest {
    principal: Principal;
  }
}

/** Something an operator did, or someone else who may change what concerns others. */
export interface AuditEvent {
  readonly principal: Principal;
  readonly route: string;
  readonly detail: { readonly params: unknown; readonly body: unknown };
  readonly remote: string;
  readonly trace: string;
}

/** What a gateway has found out about a request, which it has counted already. */
export interface Vouched {
  readonly principal: Principal;
  /** SHA-256 of the body it sent, in base64url. */
  readonly bodyDigest: string;
}

export interface GuardOptions {
  /** Who asks. Throws an ApiProblem for a token or key that is not valid: that is never the same as showing none. */
  readonly identify: Identify;
  /** Reads what a gateway vouches for; null for what comes straight from outside. Throws for a vouch that is not valid. */
  readonly vouched?: (request: IncomingMessage) => Vouched | null;
  /** Sites beside our own whose pages may use a browser’s session. */
  readonly origins: readonly string[];
  readonly limiter: RateLimiter;
  /** Told of everything that was done by an operator’s right. */
  readonly onAuditEvent: (event: AuditEvent) => void;
}

const SAFE_METHODS: ReadonlySet<string> = new Set(['GET', 'HEAD', 'OPTIONS']);

/** A route, and what one needs to be allowed. */
interface DeclaredRoute {
  readonly method: string;
  readonly url: string;
  readonly access: Access;
}

export interface Guard {
  routes(): DeclaredRoute[];
  /** Who asks, as for routes: whoever shows one credential after another that is none is not looked up for a while. */
  readonly identify: Identify;
}

/**
 * Guards every route of the app that is added from now on, those of plug-ins too.
 * @param first what is done to each request before, in the same step: a step costs as much as most of what is done in it
 */
export function guardRoutes(app: FastifyInstance, options: GuardOptions, first: readonly RequestHook[] = []): Guard {
  const declared: { method: string | string[]; url: string; config?: { access?: Access } }[] = [];
  app.addHook('onRoute', (route) => {
    // A browser asks with OPTIONS, without saying who it is, whether another site’s page may ask at all (Fetch Standard, CORS-preflight).
    if (route.method === 'OPTIONS') route.config = { ...route.config, access: 'public' };
    declared.push(route);
  });
  app.addHook('onReady', async () => {
    const silent = declared.filter(({ config }) => config?.access === undefined);
    if (silent.length > 0)
      throw new Error(
        `these routes do not say what one needs to be allowed: ${silent.map(({ method, url }) => `${String(method)} ${url}`).join(', ')}`,
      );
  });
  app.decorateRequest('principal', null as unknown as Principal);
  if (options.vouched) requireBodyDigests(app);
  const identified = limitGuesses(options.identify, () => performance.now());
  const check = (request: FastifyRequest, principal: Principal, access: Access): void => {
    if (request.is404) return;
    // A browser sets up a WebSocket for any page, and sends its cookies with it. Nobody’s may be opened from anywhere: it can show a token later.
    const isSomeonesSocket = request.headers.upgrade !== undefined && principal.kind !== 'anonymous';
    if (!SAFE_METHODS.has(request.method) || isSomeonesSocket) requireOwnPage(principal, request.headers, options.origins);
    requireAccess(principal, access);
  };
  const admit = (
    request: FastifyRequest,
    reply: FastifyReply,
    principal: Principal,
    remote: string,
    isCounted = false,
  ): undefined | Promise<void> => {
    request.principal = principal;
    const { access = 'platform:admin', cost = 1 } = request.routeOptions.config;
    const bucket = cost > 0 && !isCounted ? bucketOf(principal, remote) : null;
    if (bucket) {
      const asked = options.limiter.take(bucket.key, bucket.rate, cost);
      if (asked instanceof Promise)
        return asked.then((allowance) => {
          requirePlace(principal, bucket, allowance, reply);
          check(request, principal, access);
        });
      requirePlace(principal, bucket, asked, reply);
    }
    check(request, principal, access);
    return undefined;
  };
  // With callbacks: what is known is answered without a turn of the event loop for each step.
  app.addHook('onRequest', (request, reply, done) => {
    try {
      for (const doing of first) doing(request, reply);
      const vouched = options.vouched?.(request.raw);
      // Where proxies are trusted it is looked for anew each time it is asked for.
      const remote = request.ip;
      if (vouched) request.bodyDigest = vouched.bodyDigest;
      const found = vouched?.principal ?? identified({ headers: request.headers, remote });
      const admitted =
        found instanceof Promise
          ? found.then((principal) => admit(request, reply, principal, remote))
          : admit(request, reply, found, remote, found === vouched?.principal);
      if (admitted === undefined) done();
      else void admitted.then(() => done(), done);
    } catch (error) {
      done(error as Error);
    }
  });
  app.addHook('onRoute', (route) => {
    if (route.config?.access !== 'platform:operate' || route.method === 'GET' || route.method === 'HEAD') return;
    const operated = (request: FastifyRequest, reply: FastifyReply, done: () => void) => {
      const { principal, params, body, ip: remote, id: trace } = request;
      const name = `${request.method} ${request.routeOptions.url}`;
      if (reply.statusCode < 400 && !isReplayed(reply))
        options.onAuditEvent({ principal, route: name, detail: { params, body: body ?? {} }, remote, trace });
      done();
    };
    route.onResponse = [...[route.onResponse ?? []].flat(), operated];
  });
  return {
    identify: identified,
    routes: () =>
      declared.flatMap(({ method, url, config }) =>
        [method].flat().map((one) => ({ method: one, url, access: config?.access ?? ('platform:admin' as const) })),
      ),
  };
}

/** Says how many requests are left. Throws when there was no place for this one. */
function requirePlace(principal: Principal, counted: Counted, allowance: Allowance, reply: FastifyReply): void {
  sayAllowance(reply, counted, allowance);
  if (allowance.isAllowed) return;
  const { requestsPerSecond, burst } = counted.rate;
  throw new ApiProblem(
    'RATE_LIMITED',
    `${principal.name} may send ${requestsPerSecond} requests a second, with bursts of ${burst}.`,
    `Wait ${Math.ceil(allowance.waitMs)} ms, then send fewer requests.`,
  );
}

/** Lets everyone have the files of a plug-in, whose own code does not know of access. */
export function declareFiles(app: FastifyInstance): void {
  app.addHook('onRoute', (route) => {
    route.config = { ...route.config, access: 'public', cost: 0 };
  });
}

export function requireAccess(principal: Principal, access: Access): void {
  if (mayAccess(principal, access)) return;
  if (principal.kind === 'anonymous')
    throw new ApiProblem('UNAUTHENTICATED', `This needs the permission ${access}.`, 'Sign in, or send an access token or an API key.');
  throw new ApiProblem(
    'FORBIDDEN',
    `${principal.name} lacks the permission ${access}.`,
    principal.kind === 'key'
      ? 'Use an API key with that scope, owned by a user with that permission.'
      : 'Ask an administrator for a role with that permission.',
  );
}

/**
 * A browser sends a session’s cookie with whatever another site’s page makes it ask for; so what has effects must come from a page
 * of ours. Clients that are no browsers send neither header.
 */
export function requireOwnPage(principal: Principal, headers: IncomingHttpHeaders, origins: readonly string[]): void {
  if (principal.kind !== 'session' && principal.kind !== 'demo' && principal.kind !== 'anonymous') return;
  const { origin, host } = headers;
  const site = headers['sec-fetch-site'];
  const isOwn = origin === undefined ? site === undefined || site === 'same-origin' || site === 'none' : isOriginOf(origin, host, origins);
  if (isOwn) return;
  throw new ApiProblem(
    'ORIGIN_NOT_ALLOWED',
    `Cross-site request from ${origin ?? 'another site'}.`,
    'Use an access token or an API key, or add the origin to gateway.origins.',
  );
}

function isOriginOf(origin: string, host: string | undefined, origins: readonly string[]): boolean {
  return origins.includes(origin) || (URL.canParse(origin) && new URL(origin).host === host);
}

/** Who does something that stays on record: the name and the id of who signed in, for a name can be changed; in a demo, whoever the request says. */
export function operatorOf(principal: Principal, { operator }: { readonly operator?: string }): string {
  return principal.kind === 'demo' ? (operator ?? principal.name) : `${principal.name} (${principal.user})`;
}

/** Whether a Host header names this machine itself: what a page that has its name resolved to 127.0.0.1 cannot make a browser send. */
export function isLoopbackHost(host: string | undefined): boolean {
  const name = URL.canParse(`http://${host}`) ? new URL(`http://${host}`).hostname.replace(/^\[|\]$/g, '') : '';
  return name === 'localhost' || isLoopbackAddress(name);
}

export function isLoopbackAddress(address: string): boolean {
  const plain = address.replace(/^::ffff:/, '');
  return (isIP(plain) === 4 && plain.startsWith('127.')) || plain === '::1';
}
