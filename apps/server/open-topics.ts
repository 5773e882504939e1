import { join } from 'node:path';
import type { Settings } from '@millrace/config';
import type { TopicContract } from '@millrace/contracts';
import type { ModuleDefinition } from '@millrace/module';
import type { SharedContext } from '@millrace/module/runtime';
import { openSharedTopic, openTopic, type Topic, type TopicPlace } from '@millrace/topics';
import { asUserError, boundLog, noteId, topicLogOf } from './topic-logs.ts';

/** What the zones of a topic do while their log is unavailable. */
function whenIsolated({ log }: Settings, topic: string): 'continue' | 'stop' {
  const known: Readonly<Record<string, 'continue' | 'stop' | undefined>> = log.whenIsolated;
  return known[topic] ?? 'continue';
}

/**
 * Opens the topics of the enabled modules, by name.
 * @throws TypeError when two modules have a topic of one name
 * @throws UserError when the log of a topic cannot be used
 */
export async function openTopics(
  modules: readonly ModuleDefinition[],
  settings: Settings,
  { random, logger, database }: Pick<SharedContext, 'random' | 'logger' | 'database'>,
): Promise<ReadonlyMap<string, Topic>> {
  const topics = new Map<string, Topic>();
  for (const { contract, zones = [], zonesMax, placements = {}, shards } of modules)
    for (const [name, { folder, zones: where = 'here' }] of Object.entries<TopicContract>(contract.topics ?? {})) {
      if (topics.has(name)) throw new TypeError(`Two modules have the topic "${name}".`);
      const path = join(settings.data, folder);
      const planned = { folder: path, log: topicLogOf(settings, name, shards?.(settings)[name]), placement: placements[name] };
      const orUserError = (error: unknown) => Promise.reject(asUserError(name, planned.log, error));
      const log = await boundLog(name, planned).catch(orUserError);
      const place: TopicPlace = {
        ...{ ...planned, log, database: database.connection },
        onIndexFailure: (reason) => logger.warn({ topic: name, reason }, 'the index of zones cannot be used: reads of zones take longer'),
      };
      const kinds = zones.filter(({ topic }) => topic === name).map(({ definition }) => definition(settings));
      const most = zonesMax?.(settings);
      const options = {
        spoolMiB: settings.log.spoolMiB,
        whenIsolated: whenIsolated(settings, name),
        random,
        logger,
        ...(most !== undefined && { zonesMax: most }),
      };
      const open = () => (where === 'processes' ? openSharedTopic(name, place) : openTopic(name, place, kinds, options));
      const topic = await open().catch(orUserError);
      noteId(topic);
      topics.set(name, topic);
    }
  return topics;
}
