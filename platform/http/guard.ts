import type { IncomingHttpHeaders, IncomingMessage } from 'node:http';
import { isIP } from 'node:net';
import { type Access, mayAccess, type Principal } from '@millrace/contracts';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { requireBodyDigests } from './body-digest.ts';
import type { Identify } from './caller.ts';
import { limitGuesses } from './guesses.ts';
import { ApiProblem } from './problems.ts';
import { type Allowance, bucketOf, type Counted, type RateLimiter, setRateHeaders } from './rate-limit.ts';
import type { RequestHook } from './request-hook.ts';

/*
 * Every route declares its access; a route without keeps the server from starting. A request is authenticated once, before its body is read.
 */

declare module 'fastify' {
  interface FastifyContextConfig {
    /** Permission that the caller needs. */
    access?: Access;
    /** Rate-limit cost of a request, in tokens. Default 1; 0 exempts it. */
    cost?: number;
  }
  interface FastifyRequest {
    principal: Principal;
    /** Code with which a command of the request was refused, if its response is a success nevertheless. The audit entry has it. */
    refused?: string;
  }
}

/** An action for the audit log: of an operator, or on users of a tenant. */
export interface AuditEvent {
  readonly principal: Principal;
  readonly route: string;
  readonly detail: {
    readonly params: unknown;
    readonly body: unknown;
    /** Status of the response if it is a server error: the action may have had its effect. */
    readonly status?: number;
    /** Code with which a command of the action was refused, although the response is a success. */
    readonly refused?: string;
  };
  readonly remote: string;
  readonly trace: string;
}

/** What a gateway asserts about a request that it forwards. It has counted the request. */
export interface Vouched {
  readonly principal: Principal;
  /** SHA-256 of the body, in base64url. */
  readonly bodyDigest: string;
}

export interface GuardOptions {
  /** Authenticates a request. Throws an ApiProblem for an invalid token or key: it is not the same as none. */
  readonly identify: Identify;
  /** Reads the assertion of a gateway. Null for a request that comes from outside. Throws for an invalid assertion. */
  readonly vouched?: (request: IncomingMessage) => Vouched | null;
  /** Refuses a caller whose credential was revoked or has expired since it was identified. Called when the body of a request has arrived. */
  readonly requireNotRevoked?: (principal: Principal) => void;
  /** Other origins whose pages may use a browser session. */
  readonly origins: readonly string[];
  readonly limiter: RateLimiter;
  /** Epoch ms. Default: the clock of the machine. */
  readonly now?: () => number;
  /** Called for every action that needs the permission of an operator and may have had an effect. The response is sent when it has resolved. */
  readonly onAuditEvent: (event: AuditEvent) => Promise<void> | void;
}

const SAFE_METHODS: ReadonlySet<string> = new Set(['GET', 'HEAD', 'OPTIONS']);

/** A route and the permission that it needs. */
interface DeclaredRoute {
  readonly method: string;
  readonly url: string;
  readonly access: Access;
}

export interface Guard {
  routes(): DeclaredRoute[];
  /** Authenticates as for routes, with the limit of invalid credentials per address. */
  readonly identify: Identify;
}

/**
 * Guards every route of the app that is added from now on, those of plug-ins too.
 * @param first hooks that run before the guard, in the same step of Fastify: a step costs as much as most hooks
 */
export function guardRoutes(app: FastifyInstance, options: GuardOptions, first: readonly RequestHook[] = []): Guard {
  const routes = requireDeclaredAccess(app);
  app.decorateRequest('principal', null as unknown as Principal);
  if (options.vouched) requireBodyDigests(app);
  const identify = limitGuesses(options.identify, () => performance.now());
  // With callbacks: a request of a known caller is admitted without a turn of the event loop for each step.
  app.addHook('onRequest', (request, reply, done) => {
    try {
      for (const hook of first) hook(request, reply);
      const vouched = options.vouched?.(request.raw);
      // Where proxies are trusted, Fastify computes it at each access.
      const remote = request.ip;
      if (vouched) request.bodyDigest = vouched.bodyDigest;
      const found = vouched?.principal ?? identify({ headers: request.headers, remote });
      const admitted =
        found instanceof Promise
          ? found.then((principal) => admit(options, request, reply, { principal, remote, isCounted: false }))
          : admit(options, request, reply, { principal: found, remote, isCounted: found === vouched?.principal });
      if (admitted === undefined) done();
      else void admitted.then(() => done(), done);
    } catch (error) {
      done(error as Error);
    }
  });
  checkAgainAfterBody(app, options);
  auditOperations(app, options.onAuditEvent);
  return { identify, routes };
}

/** Keeps a server from starting with a route that declares no access. @returns a function that lists the routes */
function requireDeclaredAccess(app: FastifyInstance): () => DeclaredRoute[] {
  const declared: { method: string | string[]; url: string; config?: { access?: Access } }[] = [];
  app.addHook('onRoute', (route) => {
    // Browsers send a preflight without credentials (Fetch Standard, CORS-preflight).
    if (route.method === 'OPTIONS') route.config = { ...route.config, access: 'public' };
    declared.push(route);
  });
  app.addHook('onReady', async () => {
    const undeclared = declared.filter(({ config }) => config?.access === undefined);
    if (undeclared.length > 0)
      throw new Error(`these routes declare no access: ${undeclared.map(({ method, url }) => `${String(method)} ${url}`).join(', ')}`);
  });
  return () =>
    declared.flatMap(({ method, url, config }) =>
      [method].flat().map((one) => ({ method: one, url, access: config?.access ?? ('platform:admin' as const) })),
    );
}

interface Caller {
  readonly principal: Principal;
  readonly remote: string;
  /** True if a gateway has counted the request already. */
  readonly isCounted: boolean;
}

/** Counts a request of a caller, and checks its permission. Returns a promise if the limiter is shared. @throws ApiProblem when it is refused */
function admit(
  { limiter, origins }: GuardOptions,
  request: FastifyRequest,
  reply: FastifyReply,
  { principal, remote, isCounted }: Caller,
): undefined | Promise<void> {
  request.principal = principal;
  const { access = 'platform:admin', cost = 1 } = request.routeOptions.config;
  const bucket = cost > 0 && !isCounted ? bucketOf(principal, remote) : null;
  if (bucket) {
    const taken = limiter.take(bucket.key, bucket.rate, cost);
    if (taken instanceof Promise)
      return taken.then((allowance) => {
        requireAllowance(principal, bucket, allowance, reply);
        requireAllowed(request, principal, access, origins);
      });
    requireAllowance(principal, bucket, taken, reply);
  }
  requireAllowed(request, principal, access, origins);
  return undefined;
}

function requireAllowed(request: FastifyRequest, principal: Principal, access: Access, origins: readonly string[]): void {
  if (request.is404) return;
  // A browser opens a WebSocket for any page, with its cookies. A socket of a known user needs our own origin; others may send a token later.
  const isSocketOfUser = request.headers.upgrade !== undefined && principal.kind !== 'anonymous';
  if (!SAFE_METHODS.has(request.method) || isSocketOfUser) requireOwnPage(principal, request.headers, origins);
  requireAccess(principal, access);
}

/** A client may send the body long after the head, and its credential may be revoked or expire meanwhile. */
function checkAgainAfterBody(app: FastifyInstance, { requireNotRevoked, now = Date.now }: GuardOptions): void {
  app.addHook('onRoute', (route) => {
    if ([route.method].flat().every((method) => SAFE_METHODS.has(method))) return;
    const check = ({ principal }: FastifyRequest, _reply: FastifyReply, done: () => void) => {
      if (principal.expiresAt !== null && principal.expiresAt <= now())
        throw new ApiProblem('INVALID_TOKEN', 'The credential has expired.', 'Sign in again, or send a valid access token or API key.');
      requireNotRevoked?.(principal);
      done();
    };
    route.preHandler = [check, ...[route.preHandler ?? []].flat()];
  });
}

/** Reports every change that needs the permission of an operator, unless the request was refused, or its response is that of an earlier one. */
function auditOperations(app: FastifyInstance, onAuditEvent: GuardOptions['onAuditEvent']): void {
  const handled = new WeakSet<FastifyRequest>();
  app.addHook('onRoute', (route) => {
    if (route.config?.access !== 'platform:operate' || route.method === 'GET' || route.method === 'HEAD') return;
    // Not when the response is finished: it never is if the client has disconnected.
    const audit = async (request: FastifyRequest, reply: FastifyReply, payload: unknown) => {
      const { principal, params, body, ip: remote, id: trace } = request;
      const { statusCode: status } = reply;
      const isRefused = !handled.has(request) || (status >= 400 && status < 500);
      const { refused } = request;
      const detail = { params, body: body ?? {}, ...(status >= 500 && { status }), ...(refused !== undefined && { refused }) };
      if (!isRefused) await onAuditEvent({ principal, route: `${request.method} ${request.routeOptions.url}`, detail, remote, trace });
      return payload;
    };
    // After all checks, as the last step before the handler.
    const markHandled = (request: FastifyRequest, _reply: FastifyReply, done: () => void) => {
      handled.add(request);
      done();
    };
    route.preHandler = [...[route.preHandler ?? []].flat(), markHandled];
    route.onSend = [audit, ...[route.onSend ?? []].flat()];
  });
}

/** Sets the rate-limit headers. @throws ApiProblem RATE_LIMITED for a request over the limit */
function requireAllowance(principal: Principal, counted: Counted, allowance: Allowance, reply: FastifyReply): void {
  setRateHeaders(reply, counted, allowance);
  if (allowance.isAllowed) return;
  const { requestsPerSecond, burst } = counted.rate;
  throw new ApiProblem(
    'RATE_LIMITED',
    `${principal.name} may send ${requestsPerSecond} requests a second, with bursts of ${burst}.`,
    `Wait ${Math.ceil(allowance.waitMs)} ms, then send fewer requests.`,
  );
}

/** Makes the files of a plug-in public, because its routes declare no access. */
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
 * Requires that a request with a browser session comes from an own page or a configured origin: a browser also sends the cookie with requests that
 * pages of other sites make. Clients other than browsers send neither header. @throws ApiProblem ORIGIN_NOT_ALLOWED
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

/** Name of an operator for the record: name and id of the user, because a name can change. In a demo, the name that the request gives. */
export function operatorOf(principal: Principal, { operator }: { readonly operator?: string }): string {
  return principal.kind === 'demo' ? (operator ?? principal.name) : `${principal.name} (${principal.user})`;
}

/** Whether a Host header names this machine. A page whose name resolves to 127.0.0.1 (DNS rebinding) cannot make a browser send such a header. */
export function isLoopbackHost(host: string | undefined): boolean {
  const name = URL.canParse(`http://${host}`) ? new URL(`http://${host}`).hostname.replace(/^\[|\]$/g, '') : '';
  return name === 'localhost' || isLoopbackAddress(name);
}

export function isLoopbackAddress(address: string): boolean {
  const plain = address.replace(/^::ffff:/, '');
  return (isIP(plain) === 4 && plain.startsWith('127.')) || plain === '::1';
}
