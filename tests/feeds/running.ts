import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { COLLECTOR, type RecordedLine } from '@millrace/collector';
import { loadConfig } from '@millrace/config';
import type { Source, SourceConfig } from '@millrace/contracts';
import type { ModuleDefinition } from '@millrace/module';
import { until } from '@millrace/testing';
import { type Running, startPlatform } from '../../apps/server/platform.ts';
import { contentOf } from '../response.ts';
import { type Imitated, imitationOf } from './imitations.ts';
import { recordedLines } from './player.ts';

/** Folder with recorded frames of real venues. Without it, only imitated frames are tested. */
const FRAMES = join(import.meta.dirname, '..', '..', '..', 'shared', 'data', 'frames');

/** Frames of a venue, imitated or recorded. */
export interface Recording<Type extends string = string> {
  readonly name: string;
  readonly type: Type;
  lines(): Promise<RecordedLine[]>;
}

/** @param file of real frames of the same kind */
export function recordings<Type extends string>(type: Type, imitation: Imitated, file: string): Recording<Type>[] {
  const path = join(FRAMES, file);
  const made = { name: `${imitation} (imitated)`, type, lines: async () => imitationOf(imitation) };
  return existsSync(path) ? [made, { name: file, type, lines: () => recordedLines(path) }] : [made];
}

export interface TestPlatform extends Running {
  get<T>(path: string): Promise<T>;
  /** Resolves when the source meets the condition. */
  until(wanted: (source: Source) => boolean): Promise<Source>;
  /** Resolves when all decided events are in the store. */
  settled(): Promise<void>;
  end(): Promise<void>;
  /** Stops the server and keeps its folder. */
  stop(): Promise<void>;
}

/** Starts the whole platform in this process, with a free port and a new folder. */
export async function platform(
  sources: SourceConfig[],
  folder = mkdtempSync(join(tmpdir(), 'millrace-')),
  modules?: readonly ModuleDefinition[],
): Promise<TestPlatform> {
  const settings = loadConfig({
    file: undefined,
    folder,
    environment: { MILLRACE_LOGGING__LEVEL: 'silent', MILLRACE_DEMO: 'true', MILLRACE_WORLDS__ENABLED: 'false' },
    flags: { data: join(folder, 'data'), port: 0 },
    ...(modules && { contracts: modules.map(({ contract }) => contract) }),
  });
  const running = await startPlatform({ settings: { ...settings, sources }, console: join(folder, 'none'), ...(modules && { modules }) });
  const supervised = () => running.port(COLLECTOR)?.sources()[0];
  return {
    ...running,
    get: async (path) => {
      const response = await fetch(running.url + path);
      if (!response.ok) throw new Error(`${path} answered ${response.status}: ${await response.text()}`);
      return contentOf(response) as Promise<never>;
    },
    until: async (wanted) => {
      let source: Source | undefined;
      await until(() => {
        source = supervised()?.describe();
        return source !== undefined && wanted(source);
      }, 'the source is as wanted').catch((error) => {
        throw new Error(`${error.message}; it is ${JSON.stringify(source)}`);
      });
      return source as Source;
    },
    settled: async () => {
      while (running.host('market').stats().waitingCommands > 0) await new Promise((resolve) => setImmediate(resolve));
      await running.host('market').flushed();
      await running.group('series').caughtUp();
    },
    end: async () => {
      await running.stop();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

export function total(counts: Record<string, number>): number {
  return Object.values(counts).reduce((sum, count) => sum + count, 0);
}
