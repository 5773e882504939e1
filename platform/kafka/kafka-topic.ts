import { messageOf } from '@millrace/kernel';
import { ConfigResourceTypes, createPartitionsV3, createTopicsV7, describeConfigsV4 } from '@platformatic/kafka';
import { KafkaBrokers } from './kafka-brokers.ts';
import type { KafkaConnection } from './kafka-connections.ts';
import { BrokerError, type ShardReplicas, type TopicBroker } from './shard-broker.ts';
import { MESSAGE_BYTES_MAX } from './shard-records.ts';

/** A topic that is the log of one or more modules. */
export interface TopicPlan {
  readonly name: string;
  readonly shards: number;
  /** Brokers that have each shard. Default 3: fewer lose events with one broker. */
  readonly replicas?: number;
  /** Whether shards may be added: zones are placed by number, so those that exist stay where they are. A topic with more shards is accepted, too. */
  readonly canGrow?: boolean;
  /** Id of the topic, if it was opened before: it is not created again, and another topic of this name is refused. */
  readonly id?: string;
}

const REPLICAS = 3;
const IN_SYNC = 2;
const CREATE_MS_MAX = 10_000;
/** Size of the files of a new topic, bytes. Brokers delete whole files, so this is how much more of a shard they keep. */
const SEGMENT_BYTES = 64 * 2 ** 20;
/** Settings of which a larger value does, too. */
const AT_LEAST: ReadonlySet<string> = new Set(['min.insync.replicas', 'max.message.bytes']);

/** Settings that keep the promises of the log, each with the reason. */
const REQUIRED: Readonly<Record<string, readonly [value: string, reason: string]>> = {
  'cleanup.policy': ['delete', 'compaction would remove events'],
  'retention.ms': ['-1', 'only Millrace may delete records, up to a place where a reader can begin'],
  'retention.bytes': ['-1', 'only Millrace may delete records, up to a place where a reader can begin'],
  'unclean.leader.election.enable': ['false', 'a broker that lacks confirmed events must not lead'],
  'min.insync.replicas': [String(IN_SYNC), 'a confirmed event must be on two brokers'],
  'max.message.bytes': [String(MESSAGE_BYTES_MAX), 'the state of a zone must fit into a message'],
};

/** What to do when the brokers do not tell the size of a topic. */
const SIZE_REMEDY = 'allow the user of Millrace to Describe the cluster; until then log.retentionGiB is compared with an estimate';

/** A topic that cannot be the log as it is configured. */
export class TopicUnsafe extends Error {
  constructor(topic: string, problems: readonly string[]) {
    super(`The topic "${topic}" cannot be the log: ${problems.join('; ')}.`);
    this.name = 'TopicUnsafe';
  }
}

/** The topic that a data folder belongs to is not there. */
export class TopicLost extends Error {
  /** @param exists whether there is another topic of its name */
  constructor(topic: string, exists: boolean) {
    const state = exists ? 'was deleted, and another one has its name' : 'does not exist';
    super(`the topic "${topic}" that the data folder belongs to ${state}, or the brokers are those of another cluster`);
    this.name = 'TopicLost';
  }
}

/** A topic that a new data folder cannot have as its log: it has records. */
export class TopicInUse extends Error {
  constructor(topic: string) {
    super(`the topic "${topic}" in Kafka has records`);
    this.name = 'TopicInUse';
  }
}

/** @throws TopicInUse when a topic has, or had, records; BrokerError when that cannot be known */
export async function requireNoRecords(brokers: Pick<TopicBroker, 'ends'>, topic: string): Promise<void> {
  const ends = await knownEnds(brokers);
  if (ends.some((end) => (end ?? 0) > 0)) throw new TopicInUse(topic);
  if (ends.includes(null))
    throw new BrokerError('unknown', `the leaders of ${topic} do not tell within ${CREATE_MS_MAX} ms whether it has records`);
}

/** The ends of the shards, when all leaders respond or one shard has records, or after 10 s: leaders of a new topic respond a moment after the controller has named them. */
async function knownEnds(brokers: Pick<TopicBroker, 'ends'>): Promise<readonly (number | null)[]> {
  for (const until = Date.now() + CREATE_MS_MAX; ; ) {
    const ends = await brokers.ends();
    if (!ends.includes(null) || ends.some((end) => (end ?? 0) > 0) || Date.now() > until) return ends;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

/**
 * Opens a topic. Creates it if it does not exist.
 * @throws TopicUnsafe when it exists with settings under which confirmed events could be lost, or with another number of shards
 * @throws TopicLost when the plan names the id of a topic that is not there
 * @throws BrokerError when the brokers cannot be reached
 */
export async function openKafkaTopic(connection: KafkaConnection, plan: TopicPlan): Promise<KafkaBrokers> {
  const brokers = new KafkaBrokers(connection, plan.name);
  try {
    const existing = await brokers.partitions();
    if (plan.id !== undefined && (existing === null || (await brokers.id()) !== plan.id)) throw new TopicLost(plan.name, existing !== null);
    if (existing === null) await create(brokers, plan);
    else if (plan.canGrow && existing.length < plan.shards) await grow(brokers, plan);
    await check(brokers, plan);
    return brokers;
  } catch (error) {
    await brokers.close();
    throw error;
  }
}

async function create(brokers: KafkaBrokers, { name, shards, replicas = REPLICAS }: TopicPlan): Promise<void> {
  const required = Object.entries(REQUIRED).map(([setting, [value]]) => ({ name: setting, value }));
  const configs = [...required, { name: 'segment.bytes', value: String(SEGMENT_BYTES) }];
  const inSync = configs.map((one) => (one.name === 'min.insync.replicas' ? { ...one, value: String(Math.min(IN_SYNC, replicas)) } : one));
  const topic = { name, numPartitions: shards, replicationFactor: replicas, assignments: [], configs: inSync };
  try {
    await brokers.askController((controller) => createTopicsV7.api.async(controller, [topic], CREATE_MS_MAX, false));
  } catch (error) {
    // Another process has created it meanwhile, or the controller has not confirmed it in time: then it is there in a moment, or not.
    const mayExist = error instanceof BrokerError && (error.failure === 'unknown' || error.message.includes('TOPIC_ALREADY_EXISTS'));
    if (!mayExist) throw error;
  }
  await brokers.whenLed(CREATE_MS_MAX);
  // A leader that still does not respond is reported by its first use.
  await knownEnds(brokers);
}

async function grow(brokers: KafkaBrokers, { name, shards }: TopicPlan): Promise<void> {
  await brokers.askController((controller) => createPartitionsV3.api.async(controller, [{ name, count: shards }], CREATE_MS_MAX, false));
  await brokers.whenLed(CREATE_MS_MAX, shards);
}

/**
 * Looks at a topic without changing it.
 * @returns null when it does not exist; else its replicas, and problems with the remedy: settings under which confirmed events could be lost, a missing permission
 * @throws BrokerError when the brokers cannot be reached
 */
export async function inspectKafkaTopic(
  connection: KafkaConnection,
  name: string,
  replicas = REPLICAS,
): Promise<{ readonly problems: readonly string[]; readonly replicas: readonly ShardReplicas[] } | null> {
  const brokers = new KafkaBrokers(connection, name);
  try {
    if ((await brokers.partitions()) === null) return null;
    const problems = await problemsOf(brokers, name, replicas);
    await brokers.bytes().catch((error) => problems.push(`its size is not told (${messageOf(error)}); ${SIZE_REMEDY}`));
    return { problems, replicas: await brokers.replicas() };
  } finally {
    await brokers.close();
  }
}

async function check(brokers: KafkaBrokers, { name, shards, replicas = REPLICAS, canGrow = false }: TopicPlan): Promise<void> {
  // A broker may not know yet of shards that were added.
  if (canGrow) await brokers.whenLed(CREATE_MS_MAX, shards);
  const { length } = (await brokers.partitions()) ?? [];
  const problems = await problemsOf(brokers, name, replicas);
  if (canGrow ? length < shards : length !== shards)
    problems.unshift(
      `it has ${length} partitions, but ${shards} are configured; set the number back, or use another topic: zones would move`,
    );
  if (problems.length > 0) throw new TopicUnsafe(name, problems);
}

/** Settings of a topic under which confirmed events could be lost, each with the remedy. */
async function problemsOf(brokers: KafkaBrokers, name: string, replicas: number): Promise<string[]> {
  const partitions = (await brokers.partitions()) ?? [];
  const problems: string[] = [];
  const fewest = Math.min(...partitions.map(({ replicaNodes }) => replicaNodes.length));
  if (fewest < replicas) problems.push(`a partition has ${fewest} replicas; reassign it to ${replicas} brokers`);
  const resource = { resourceType: ConfigResourceTypes.TOPIC, resourceName: name, configurationKeys: Object.keys(REQUIRED) };
  const { results } = await brokers.askController((controller) => describeConfigsV4.api.async(controller, [resource], false, false));
  const found = new Map(results[0]?.configs.map((config) => [config.name, config.value]));
  for (const [setting, [value, reason]] of Object.entries(REQUIRED)) {
    const needed = setting === 'min.insync.replicas' ? String(Math.min(IN_SYNC, replicas)) : value;
    const actual = found.get(setting) ?? 'unset';
    if (AT_LEAST.has(setting) ? !(Number(actual) >= Number(needed)) : actual !== needed)
      problems.push(`${setting} is ${actual}; set it to ${needed}, because ${reason}`);
  }
  return problems;
}
