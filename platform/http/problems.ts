import { existsSync, readFileSync } from 'node:fs';
import { STATUS_CODES } from 'node:http';
import type { Socket } from 'node:net';
import { join } from 'node:path';
import { PROBLEMS, type Problem, type ProblemCode } from '@millrace/contracts';
import { failureReason, isDatabaseUnavailable } from '@millrace/database';
import { DrizzleQueryError } from 'drizzle-orm';
import type { FastifyError, FastifyInstance, FastifyReply, FastifyRequest, FastifySchemaValidationError } from 'fastify';
import { closeInTime } from './closing.ts';
import { methodsOf } from './methods.ts';

/** Error of a route, sent as an RFC 9457 problem document. The message names the invalid value, the remedy states what to do. */
export class ApiProblem extends Error {
  readonly code: ProblemCode;
  readonly remedy: string;

  get status(): number {
    return PROBLEMS[this.code].status;
  }

  constructor(code: ProblemCode, detail: string, remedy: string) {
    // No stack trace: a refusal is not a bug, and the trace would cost more than the refused request.
    const { stackTraceLimit } = Error;
    Error.stackTraceLimit = 0;
    super(detail);
    Error.stackTraceLimit = stackTraceLimit;
    this.name = 'ApiProblem';
    this.code = code;
    this.remedy = remedy;
  }
}

/** The request that a problem is about. */
type About = Pick<FastifyRequest, 'id' | 'url'>;

function problemOf(code: ProblemCode, detail: string, remedy: string, about?: About): Problem {
  const { status, title } = PROBLEMS[code];
  const type = `/problems/${code.toLowerCase().replaceAll('_', '-')}`;
  // Without the query: its parameters may be secrets.
  const where = about && { instance: about.url.replace(/[?#].*$/s, ''), traceId: about.id };
  return { type, title, status, detail, remedy, code, ...where };
}

/** Code, status and title of a problem type. @throws ApiProblem NOT_FOUND for an unknown type */
export function explainProblem(name: string): { code: string; status: number; title: string } {
  const code = name.toUpperCase().replaceAll('-', '_');
  if (!Object.hasOwn(PROBLEMS, code))
    throw new ApiProblem('NOT_FOUND', `Unknown problem type "${name}".`, `Problem types: ${Object.keys(PROBLEMS).join(', ')}.`);
  return { code, ...PROBLEMS[code as ProblemCode] };
}

/**
 * Sends every error as a problem document. Internal errors are logged, and the client does not get their details. A browser that opens an unknown URL
 * gets the console, which shows a "not found" page.
 */
export function respondWithProblems(app: FastifyInstance, consoleFolder?: string): void {
  const methodsAt = methodsOf(app);
  const send = (reply: FastifyReply, problem: Problem) => {
    if (problem.status === 401) void reply.header('www-authenticate', challengeOf(problem.code));
    return reply.code(problem.status).type('application/problem+json').send(problem);
  };
  const page = consoleFolder === undefined ? '' : join(consoleFolder, 'index.html');
  const sendNotFound = (request: FastifyRequest, reply: FastifyReply) => {
    const { method, url } = request;
    const methods = methodsAt(url).join(', ');
    if (methods === '' && isPageRequest(request) && existsSync(page))
      return reply.code(404).type('text/html; charset=utf-8').header('cache-control', 'no-store').send(readFileSync(page));
    if (methods === '')
      return send(reply, problemOf('NOT_FOUND', `No route matches ${method} ${url}.`, 'See /docs for all routes.', request));
    reply.header('allow', methods);
    return send(reply, problemOf('METHOD_NOT_ALLOWED', `${url} does not support ${method}.`, `Use one of: ${methods}.`, request));
  };
  app.setErrorHandler((error: FastifyError | ApiProblem, request, reply) => {
    const problem = toProblem(error, request);
    // Without a route, an invalid body is irrelevant.
    if (request.is404 && problem.status < 500 && !(error instanceof ApiProblem)) return sendNotFound(request, reply);
    // Of a database query only the reason is logged: its parameters may be secrets.
    if (problem.status >= 500)
      request.log.error({ trace: request.id, ...(isQuery(error) ? { reason: failureReason(error) } : { err: error }) }, 'a request failed');
    return send(reply, problem);
  });
  app.setNotFoundHandler(sendNotFound);
}

/** Challenge of a 401 response (RFC 6750, section 3). */
function challengeOf(code: string): string {
  return `Bearer realm="millrace"${code === 'INVALID_TOKEN' ? ', error="invalid_token"' : ''}`;
}

/** Whether a browser requests a page. Requests for files, by programs and of the API get a problem document. */
function isPageRequest({ method, url, headers }: FastifyRequest): boolean {
  return method === 'GET' && !url.startsWith('/api/') && (headers.accept?.includes('text/html') ?? false);
}

/** Responds to a URL that the router cannot process: a segment is too long, or the encoding is invalid. */
export function respondToFrameworkError(error: FastifyError, request: FastifyRequest, reply: FastifyReply): void {
  const problem =
    error.statusCode === 414
      ? problemOf('TOO_LARGE', 'A path segment is too long.', 'Ids have at most 128 characters.', request)
      : problemOf('BAD_REQUEST', 'The URL is not valid.', 'Encode it according to RFC 3986.', request);
  void reply.code(problem.status).type('application/problem+json').send(problem);
}

/** Responds to bytes that are not HTTP, or arrive too slowly. After a response only closes: the client could take a second one for another request’s. */
export function respondToClientError(error: Error & { code?: string }, socket: Socket): void {
  // Without a TLS handshake, a response would wait for it for ever.
  const isOver = error.code === 'ECONNRESET' || error.code === 'ERR_TLS_HANDSHAKE_TIMEOUT';
  if (isOver || !socket.writable || socket.bytesWritten > 0) return void socket.destroy();
  const problem =
    error.code === 'ERR_HTTP_REQUEST_TIMEOUT'
      ? { ...problemOf('BAD_REQUEST', 'The request was not received in time.', 'Send it faster.'), status: 408 }
      : error.code === 'HPE_HEADER_OVERFLOW'
        ? { ...problemOf('TOO_LARGE', 'The request headers are too large.', 'Send fewer or shorter headers.'), status: 431 }
        : problemOf('BAD_REQUEST', 'Not a valid HTTP request.', 'See RFC 9112.');
  const body = JSON.stringify(problem);
  const head = `HTTP/1.1 ${problem.status} ${STATUS_CODES[problem.status]}\r\ncontent-type: application/problem+json\r\ncontent-length: ${Buffer.byteLength(body)}\r\nconnection: close\r\n\r\n`;
  socket.end(head + body);
  closeInTime(socket);
}

const isQuery = (error: unknown) => error instanceof DrizzleQueryError;

function toProblem(error: FastifyError | ApiProblem, about: About): Problem {
  if (error instanceof ApiProblem) return problemOf(error.code, error.message, error.remedy, about);
  if (isDatabaseUnavailable(error))
    return problemOf('DATABASE_UNAVAILABLE', 'The database cannot be reached now.', 'Try again in a moment.', about);
  if (error.validation) return fromValidation(error, about);
  if (error.statusCode === 413) return problemOf('TOO_LARGE', `${error.message}.`, 'Send a smaller body.', about);
  if (error.statusCode === 415) return problemOf('UNSUPPORTED_MEDIA_TYPE', error.message, 'Send application/json.', about);
  if (error.statusCode !== undefined && error.statusCode < 500)
    return problemOf('BAD_REQUEST', error.message, 'Correct the request. See /docs for its parameters.', about);
  return problemOf(
    'INTERNAL_ERROR',
    'The request failed on the server. The server log has the details.',
    'Try again. If it persists, report the traceId.',
    about,
  );
}

/** Code and remedy that a schema of the contracts declares for invalid values, instead of BAD_REQUEST. */
interface SchemaProblem {
  readonly 'x-problem'?: ProblemCode;
  readonly 'x-remedy'?: string;
}

function fromValidation(error: FastifyError, about: About): Problem {
  const [first] = (error.validation ?? []) as (FastifySchemaValidationError & { data?: unknown; parentSchema?: object })[];
  const field = first?.instancePath.slice(1) || String(first?.params?.missingProperty ?? first?.params?.additionalProperty ?? '');
  const value = first?.data;
  // JSON distinguishes "5" from 5; a URL contains only text.
  const display = typeof value === 'object' ? '' : ` (${error.validationContext === 'body' ? JSON.stringify(value) : String(value)})`;
  if (field === 'interval') {
    const known = (first?.params?.allowedValues as string[] | undefined)?.join(', ');
    return {
      ...problemOf('UNKNOWN_INTERVAL', `Unknown interval "${String(value)}".`, `Use one of: ${known}.`, about),
      errors: errorsOf(error),
    };
  }
  const where =
    error.validationContext === 'querystring'
      ? 'The query parameter'
      : error.validationContext === 'params'
        ? 'The path part'
        : 'The field';
  const { 'x-problem': code = 'BAD_REQUEST', 'x-remedy': remedy = 'Correct the value. See /docs for its schema.' } = (first?.parentSchema ??
    {}) as SchemaProblem;
  const detail =
    code === 'BAD_REQUEST'
      ? `${where} "${field}"${display} ${first?.message ?? 'is not valid'}.`
      : `${PROBLEMS[code].title}: "${String(value)}".`;
  return { ...problemOf(code, detail, remedy, about), errors: errorsOf(error) };
}

const PARTS: Readonly<Record<string, string>> = { querystring: 'query', params: 'path' };

/** The invalid values, as JSON pointers into the parts of the request. */
function errorsOf({ validation = [], validationContext = 'body' }: FastifyError): NonNullable<Problem['errors']> {
  return validation.map(({ instancePath, keyword, message, params }) => {
    const missing = params?.missingProperty ?? params?.additionalProperty;
    const pointer = missing === undefined ? instancePath : `${instancePath}/${String(missing).replaceAll('~', '~0').replaceAll('/', '~1')}`;
    return { in: PARTS[validationContext] ?? validationContext, pointer, code: keyword, message: message ?? 'is not valid' };
  });
}
