import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout } from 'node:timers/promises';
import type { World, WorldHostStatus } from '@millrace/contracts';
import { freePort, until } from '@millrace/testing';
import { Random } from '../market-law/random.ts';
import { contentOf } from '../response.ts';
import { type ServerProcess, startServer } from '../server.ts';

const PLAYERS_PROGRAM = join(import.meta.dirname, 'players.py');

/** Faults and actions of operators during the play. */
export const FAULTS = [
  'kill-host',
  'stop-host',
  'kill-all-hosts',
  'kill-server',
  'stop-server',
  'restart-server',
  'kill-database',
  'edit',
  'kick',
  'restore',
  'replace',
  'drain',
  'announce',
] as const;
export type Fault = (typeof FAULTS)[number];

export interface ChaosReport {
  readonly commands: number;
  readonly accepted: number;
  readonly answered: number;
  /** Contradictions in the frames of players and the answers of the server. */
  readonly differences: readonly string[];
  readonly faults: readonly string[];
}

export interface ChaosOptions {
  readonly seed: number;
  readonly players: number;
  readonly seconds: number;
  readonly faults?: readonly Fault[];
  readonly keep?: boolean;
}

/** Runs a world with many players and faults, and compares all records at the end. */
export async function runChaos({ seed, players, seconds, faults = FAULTS, keep = false }: ChaosOptions): Promise<ChaosReport> {
  const random = new Random(seed);
  const folder = mkdtempSync(join(tmpdir(), 'millrace-chaos-'));
  const [port, tcpPort] = [await freePort(), await freePort()];
  const worlds = {
    columns: 3,
    rows: 2,
    hosts: 2,
    standby: 1,
    monsters: 3,
    items: 30,
    tcpPort,
    playersPerUser: 10_000,
    lingerMs: 10_000,
    leaseMs: 1_500,
  };
  writeFileSync(join(folder, 'millrace.config.json'), JSON.stringify({ sources: [], worlds }));
  const start = () => startServer(['up', '--port', String(port), '--data', join(folder, 'data')], { cwd: folder });
  const stage = new Stage(await start(), start, random);
  await until(async () => (await stage.get<World>('/api/v1/world')).zonesOpen === 6, 'all zones are open');
  const program = spawn('python3', [PLAYERS_PROGRAM, stage.url, String(tcpPort), String(players), String(seed), folder], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const ended = once(program, 'exit');
  const lines = createInterface({ input: program.stdout })[Symbol.asyncIterator]();
  const told: string[] = [];
  try {
    const { ready } = JSON.parse((await lines.next()).value ?? '{}') as { ready: string[] };
    const deadline = performance.now() + seconds * 1_000;
    await setTimeout(1_500);
    while (performance.now() < deadline) {
      const fault = random.pick(faults);
      const note = (name: string) => {
        told.push(name);
        program.stdin.write(`fault ${name}\n`);
      };
      await stage.cause(fault, random.pick(ready), note);
      await setTimeout(random.integer(200, 2_500));
    }
    program.stdin.write('calm\n');
    const last = (await lines.next()).value;
    if (last === undefined) throw new Error(`the players ended with ${(await ended)[0]}`);
    return { ...(JSON.parse(last) as Omit<ChaosReport, 'faults'>), faults: told };
  } finally {
    if (program.exitCode === null) program.kill('SIGKILL');
    await stage.stop();
    if (keep) process.stdout.write(`${folder}\n`);
    else rmSync(folder, { recursive: true, force: true, maxRetries: 20, retryDelay: 50 });
  }
}

/** The server and its processes, with their faults. */
class Stage {
  #server: ServerProcess;
  readonly #start: () => Promise<ServerProcess>;
  readonly #random: Random;
  readonly url: string;

  constructor(server: ServerProcess, start: () => Promise<ServerProcess>, random: Random) {
    this.#server = server;
    this.#start = start;
    this.#random = random;
    this.url = server.url;
  }

  async cause(fault: Fault, player: string, note: (name: string) => void): Promise<void> {
    switch (fault) {
      case 'kill-host':
        note(fault);
        return killAll((await this.#hosts()).slice(0, 1));
      case 'kill-all-hosts':
        note('kill-host');
        return killAll(await this.#hosts());
      case 'stop-host': {
        const [pid] = await this.#hosts();
        // Sometimes longer than its lease: its zones move to another host, and it must not continue.
        const forMs = this.#random.integer(100, 4_000);
        note(forMs > 1_000 ? 'kill-host (stopped)' : fault);
        return this.#pause(pid, forMs);
      }
      case 'stop-server':
        note('kill-host (server stopped)');
        return this.#pause(this.#server.child.pid, this.#random.integer(100, 3_000));
      case 'kill-server':
        note(fault);
        await this.#server.kill();
        this.#server = await this.#start();
        return note(fault);
      case 'restart-server':
        note('kill-server (restart)');
        await this.#server.stop();
        this.#server = await this.#start();
        return note('kill-server (restart)');
      case 'kill-database':
        note(fault);
        await this.#server.stopDatabase().catch(() => {});
        return;
      case 'edit':
        note(`edit ${player}`);
        return this.#post(`players/${player}/edits`, {
          component: 'health',
          fields: { points: this.#random.integer(1, 100) },
          reason: 'chaos',
        });
      case 'kick':
        note(fault);
        return this.#post(`players/${player}/kick`, { reason: 'chaos' });
      case 'restore':
        note(fault);
        await this.#post(`zones/${this.#zone()}/restore`, {
          stateAt: new Date(Date.now() - this.#random.integer(500, 8_000)).toISOString(),
          reason: 'chaos',
        });
        return note(fault);
      case 'replace':
      case 'drain':
        note(fault);
        await this.#post(`hosts/${this.#random.pick(['zones-1', 'zones-2', 'zones-3'])}/${fault}`, {});
        if (fault === 'drain') for (const host of ['zones-1', 'zones-2', 'zones-3']) await this.#post(`hosts/${host}/welcome`, {});
        return;
      case 'announce':
        note(fault);
        return this.#post('announcements', { text: 'chaos' });
    }
  }

  async get<T>(path: string): Promise<T> {
    const response = await fetch(this.url + path);
    if (!response.ok) throw new Error(`${path} answered ${response.status}`);
    return (await contentOf(response)) as T;
  }

  stop(): Promise<unknown> {
    return this.#server.stop();
  }

  /** Pids of the zone hosts, in random order. */
  async #hosts(): Promise<number[]> {
    const hosts = await this.get<WorldHostStatus[]>('/api/v1/world/hosts').catch(() => []);
    const pids = hosts.map(({ pid }) => pid).filter((pid) => pid !== null && pid > 0) as number[];
    return pids
      .map((pid) => ({ pid, at: this.#random.next() }))
      .sort((a, b) => a.at - b.at)
      .map(({ pid }) => pid);
  }

  /** Ignores the response: a refusal changes nothing. */
  async #post(path: string, body: object): Promise<void> {
    const headers = { 'content-type': 'application/json' };
    await fetch(`${this.url}/api/v1/world/${path}`, { method: 'POST', headers, body: JSON.stringify(body) })
      .then((response) => response.arrayBuffer())
      .catch(() => {});
  }

  async #pause(pid: number | undefined, forMs: number): Promise<void> {
    if (pid === undefined) return;
    try {
      process.kill(pid, 'SIGSTOP');
      await setTimeout(forMs);
      process.kill(pid, 'SIGCONT');
    } catch {
      // It has already ended.
    }
  }

  #zone(): string {
    return `${this.#random.integer(0, 2)}-${this.#random.integer(0, 1)}`;
  }
}

function killAll(pids: readonly number[]): void {
  for (const pid of pids)
    try {
      process.kill(pid, 'SIGKILL');
    } catch {
      // It has already ended.
    }
}
