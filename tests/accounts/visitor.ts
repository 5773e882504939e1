import assert from 'node:assert/strict';
import type { Invitation, NewApiKey, NewTenant, Permission, Problem, Role } from '@millrace/contracts';
import { contentOf } from '../response.ts';
import { type ServerProcess, startServer } from '../server.ts';

/** An HTTP client with cookies, like a browser. Bodies are JSON. */
export class Visitor {
  readonly url: string;
  readonly jar = new Map<string, string>();
  /** Sent with every request. */
  readonly headers: Record<string, string>;

  constructor(url: string, headers: Record<string, string> = {}) {
    this.url = url;
    this.headers = headers;
  }

  /** The headers that every request of this client has: cookies and those it was created with. */
  credentials(): Record<string, string> {
    const cookie = [...this.jar].map(([name, value]) => `${name}=${value}`).join('; ');
    return { ...(cookie !== '' && { cookie }), ...this.headers };
  }

  /** A client with the same cookies, which changes them apart from this one. */
  copy(): Visitor {
    const copy = new Visitor(this.url, this.headers);
    for (const [name, value] of this.jar) copy.jar.set(name, value);
    return copy;
  }

  async ask(method: string, path: string, body?: unknown, headers: Record<string, string> = {}): Promise<Response> {
    const response = await fetch(this.url + path, {
      method,
      redirect: 'manual',
      headers: {
        ...(body !== undefined && { 'content-type': 'application/json' }),
        ...this.credentials(),
        ...headers,
      },
      ...(body !== undefined && { body: JSON.stringify(body) }),
    });
    for (const line of response.headers.getSetCookie()) {
      const [pair = ''] = line.split(';');
      const at = pair.indexOf('=');
      if (/max-age=0/i.test(line)) this.jar.delete(pair.slice(0, at));
      else this.jar.set(pair.slice(0, at), pair.slice(at + 1));
    }
    return response;
  }

  /** The body of a response: for a list, the rows of its first page. Fails on an error response. */
  async get<T>(method: string, path: string, body?: unknown): Promise<T> {
    const response = await this.ask(method, `/api/v1${path}`, body);
    assert.ok(response.ok, `${method} ${path}: ${response.status} ${response.ok ? '' : await response.clone().text()}`);
    return (await contentOf(response)) as T;
  }

  /** The code of an error response. Fails on success. */
  async refusal(method: string, path: string, body?: unknown, headers: Record<string, string> = {}): Promise<string> {
    const response = await this.ask(method, `/api/v1${path}`, body, headers);
    const answer = (await response.json()) as Problem;
    assert.ok(response.status >= 400, `${method} ${path} was not refused: ${JSON.stringify(answer)}`);
    assert.equal(answer.status, response.status);
    return answer.code;
  }

  signUp(name: string, email: string, invitation: string): Promise<object> {
    return this.get('POST', '/auth/sign-up', { name, email, password: PASSWORD, invitation });
  }

  signIn(email: string, password = PASSWORD): Promise<{ status: string }> {
    return this.get('POST', '/auth/sign-in', { email, password });
  }

  key(name: string, scopes: readonly Permission[]): Promise<NewApiKey> {
    return this.get('POST', '/account/keys', { name, scopes });
  }
}

export const PASSWORD = 'a mill turns while water runs';

export const wordIn = (link: string) => new URL(link).searchParams.get('invitation') ?? '';

/** A server with users, and its owner signed in. */
export interface Guarded {
  /** The running server; a new one after `startAgain`. */
  readonly server: ServerProcess;
  readonly owner: Visitor;
  visitor(headers?: Record<string, string>): Visitor;
  /** Creates a user with a role in an existing tenant. */
  member(role: Role, tenant?: string): Promise<Visitor>;
  /** Creates a tenant with its first administrator. */
  tenant(id: string): Promise<Visitor>;
  /** Restarts the ended server at the same address. */
  startAgain(): Promise<void>;
}

export async function startGuarded(folder: string, env: Record<string, string> = {}): Promise<Guarded> {
  const start = (port: string) =>
    startServer(['up', '--port', port, '--data', 'data'], { cwd: folder, env: { MILLRACE_DEMO: 'false', ...env } });
  let server = await start('0');
  const [link = ''] = /http\S+invitation=\S+/.exec(server.errors()) ?? [];
  assert.notEqual(link, '', `no link for the owner in ${server.errors()}`);
  const visitor = (headers: Record<string, string> = {}) => new Visitor(server.url, headers);
  const owner = visitor();
  await owner.signUp('Owner', 'owner@example.com', wordIn(link));
  let made = 0;
  const admins = new Map([['main', owner]]);
  return {
    get server() {
      return server;
    },
    owner,
    visitor,
    member: async (role, tenant = 'main') => {
      const email = `${role}-${++made}@${tenant}.example`;
      const admin = admins.get(tenant) ?? owner;
      const { link: invitation } = await admin.get<Invitation>('POST', `/tenants/${tenant}/invitations`, { role, email });
      const member = visitor();
      await member.signUp(`${role} ${made}`, email, wordIn(invitation));
      return member;
    },
    tenant: async (id) => {
      const { invitation } = await owner.get<NewTenant>('POST', '/tenants', { id, name: id, tier: 'premium' });
      const admin = visitor();
      await admin.signUp(`${id} admin`, `admin@${id}.example`, wordIn(invitation.link));
      admins.set(id, admin);
      return admin;
    },
    startAgain: async () => {
      server = await start(new URL(server.url).port);
    },
  };
}
