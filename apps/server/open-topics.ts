import { join } from 'node:path';
import type { Settings } from '@millrace/config';
import type { TopicContract } from '@millrace/contracts';
import type { ModuleDefinition } from '@millrace/module';
import type { SharedContext } from '@millrace/module/runtime';
import { openSharedTopic, openTopic, type Topic } from '@millrace/topics';

/**
 * Opens the topics of the enabled modules, by name.
 * @throws TypeError when two modules have a topic of one name
 */
export async function openTopics(
  modules: readonly ModuleDefinition[],
  settings: Settings,
  { random, logger }: Pick<SharedContext, 'random' | 'logger'>,
): Promise<ReadonlyMap<string, Topic>> {
  const topics = new Map<string, Topic>();
  for (const { contract, zones = [], zonesMax, placements = {} } of modules)
    for (const [name, { folder, zones: where = 'here' }] of Object.entries<TopicContract>(contract.topics ?? {})) {
      if (topics.has(name)) throw new TypeError(`Two modules have the topic "${name}".`);
      const path = join(settings.data, folder);
      const kinds = zones.filter(({ topic }) => topic === name).map(({ definition }) => definition(settings));
      const most = zonesMax?.(settings);
      const options = { spoolMiB: settings.log.spoolMiB, random, logger, ...(most !== undefined && { zonesMax: most }) };
      topics.set(name, where === 'processes' ? openSharedTopic(name, path, placements[name]) : await openTopic(name, path, kinds, options));
    }
  return topics;
}
