import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { cpSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { freePort, TIME_FACTOR } from '@millrace/testing';
import { Connection, metadataV12 } from '@platformatic/kafka';
import { KafkaBrokers } from '../kafka-brokers.ts';
import { KAFKA_CLASS_PATH } from './kafka-programs.ts';

const START_MS_MAX = 90_000 * TIME_FACTOR;
/** A broker of tests: little memory, and a quick start rather than a high speed. */
const JVM = ['-Xms64m', '-Xmx320m', '-XX:+UseSerialGC', '-XX:TieredStopAtLevel=1', '-Xshare:auto'];

/** Partitions of the topic that has the ids of producers; each has a coordinator. */
const COORDINATORS = 4;

const execute = promisify(execFile);

/** A broker of a test. */
export interface TestBroker {
  readonly id: number;
  readonly address: string;
  readonly pid: number;
  /** SIGKILL: it loses what is not on its disk. */
  kill(): Promise<void>;
  start(): Promise<void>;
  /** SIGSTOP and SIGCONT. */
  pause(): void;
  resume(): void;
}

export interface TestKafka {
  readonly brokers: readonly TestBroker[];
  readonly addresses: readonly string[];
  /** Addresses and certificate of the listeners with TLS and SCRAM; none without a user. */
  readonly secure: { readonly addresses: readonly string[]; readonly certificate: string } | null;
  close(): Promise<void>;
}

interface ClusterOptions {
  /** Number of brokers. Default 3. */
  readonly count?: number;
  /** Further lines of their properties. */
  readonly settings?: Readonly<Record<string, string | number>>;
  /** Adds listeners with TLS on which this user signs in by SCRAM-SHA-512. */
  readonly user?: { readonly name: string; readonly password: string };
}

interface Ports {
  readonly client: number;
  readonly controller: number;
  readonly secure: number;
}

/** Starts real brokers with replication over all of them. */
export async function openTestKafka({ count = 3, settings = {}, user }: ClusterOptions = {}): Promise<TestKafka> {
  const classPath = KAFKA_CLASS_PATH;
  const folder = mkdtempSync(join(tmpdir(), 'millrace-kafka-'));
  const ports: Ports[] = [];
  for (let index = 0; index < count; index++)
    ports.push({ client: await freePort(), controller: await freePort(), secure: await freePort() });
  const keyStore = user ? await createKeyStore(folder) : null;
  const cluster = kafkaId();
  const log4j = join(folder, 'log4j2.properties');
  writeFileSync(log4j, 'rootLogger.level=warn\nrootLogger.appenderRef.out.ref=out\nappender.out.type=Console\nappender.out.name=out\n');
  const nodes = ports.map((port, index) => {
    const id = index + 1;
    const file = join(folder, `broker-${id}.properties`);
    const properties = {
      ...propertiesOf(id, ports, join(folder, `broker-${id}`)),
      ...(keyStore && secureProperties(port, keyStore)),
      ...settings,
    };
    writeFileSync(
      file,
      Object.entries(properties)
        .map(([name, value]) => `${name}=${value}\n`)
        .join(''),
    );
    return { id, file, address: `127.0.0.1:${port.client}` };
  });
  const scram = user ? ['--add-scram', `SCRAM-SHA-512=[name=${user.name},password=${user.password}]`] : [];
  const format = [...JVM, '-cp', classPath, 'kafka.tools.StorageTool', 'format', '-t', cluster, ...scram, '-c'];
  await execute('java', [...format, nodes[0]?.file ?? '']);
  for (const { id } of nodes.slice(1)) copyFormatted(folder, id);
  const brokers = nodes.map(({ id, file, address }) => new RunningBroker({ id, address, file, folder, classPath, log4j }));
  try {
    await Promise.all(brokers.map((broker) => broker.start()));
    await whenComplete(brokers);
    await whenCoordinated(brokers);
  } catch (error) {
    await closeAll(brokers, folder);
    throw error;
  }
  const secure =
    keyStore === null
      ? null
      : {
          addresses: ports.map((port) => `127.0.0.1:${port.secure}`),
          certificate: certificateIn(readFileSync(keyStore, 'utf8')),
        };
  return { brokers, addresses: nodes.map(({ address }) => address), secure, close: () => closeAll(brokers, folder) };
}

/** An id as Kafka writes it. Its command line takes one that begins with a dash for an option. */
function kafkaId(): string {
  const id = randomBytes(16).toString('base64url');
  return id.startsWith('-') ? kafkaId() : id;
}

/** Formats the folder of a broker like that of the first one, without another JVM. */
function copyFormatted(folder: string, id: number): void {
  const target = join(folder, `broker-${id}`);
  cpSync(join(folder, 'broker-1'), target, { recursive: true });
  const file = join(target, 'meta.properties');
  const copied = readFileSync(file, 'utf8').replace(/^node\.id=.*$/m, `node.id=${id}`);
  writeFileSync(file, copied.replace(/^directory\.id=.*$/m, `directory.id=${kafkaId()}`));
}

async function closeAll(brokers: readonly RunningBroker[], folder: string): Promise<void> {
  await Promise.all(brokers.map((broker) => broker.kill()));
  rmSync(folder, { recursive: true, force: true });
}

/** A key and its certificate for 127.0.0.1, in one file. */
async function createKeyStore(folder: string): Promise<string> {
  const [key, certificate, store] = [join(folder, 'key.pem'), join(folder, 'cert.pem'), join(folder, 'store.pem')];
  const name = ['-subj', '/CN=127.0.0.1', '-addext', 'subjectAltName=IP:127.0.0.1'];
  await execute('openssl', ['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '2', ...name, '-keyout', key, '-out', certificate]);
  writeFileSync(store, readFileSync(key, 'utf8') + readFileSync(certificate, 'utf8'));
  return store;
}

/** The part of a key store that clients need. */
function certificateIn(keyStore: string): string {
  return keyStore.slice(keyStore.indexOf('-----BEGIN CERTIFICATE-----'));
}

function secureProperties(port: Ports, keyStore: string): Record<string, string> {
  const login = 'org.apache.kafka.common.security.scram.ScramLoginModule required;';
  return {
    listeners: `PLAINTEXT://127.0.0.1:${port.client},CONTROLLER://127.0.0.1:${port.controller},SECURE://127.0.0.1:${port.secure}`,
    'advertised.listeners': `PLAINTEXT://127.0.0.1:${port.client},SECURE://127.0.0.1:${port.secure}`,
    'listener.security.protocol.map': 'CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SECURE:SASL_SSL',
    'listener.name.secure.sasl.enabled.mechanisms': 'SCRAM-SHA-512',
    'listener.name.secure.scram-sha-512.sasl.jaas.config': login,
    'listener.name.secure.ssl.keystore.type': 'PEM',
    'listener.name.secure.ssl.keystore.location': keyStore,
  };
}

function propertiesOf(id: number, ports: readonly Ports[], folder: string): Record<string, string | number | boolean> {
  const mine = ports[id - 1];
  const copies = ports.length;
  const inSync = Math.min(2, copies);
  return {
    'process.roles': 'broker,controller',
    'node.id': id,
    'controller.quorum.voters': ports.map(({ controller }, index) => `${index + 1}@127.0.0.1:${controller}`).join(','),
    listeners: `PLAINTEXT://127.0.0.1:${mine?.client},CONTROLLER://127.0.0.1:${mine?.controller}`,
    'advertised.listeners': `PLAINTEXT://127.0.0.1:${mine?.client}`,
    'controller.listener.names': 'CONTROLLER',
    'listener.security.protocol.map': 'CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT',
    'inter.broker.listener.name': 'PLAINTEXT',
    'log.dirs': folder,
    'default.replication.factor': copies,
    'min.insync.replicas': inSync,
    'offsets.topic.replication.factor': copies,
    'transaction.state.log.replication.factor': copies,
    'transaction.state.log.min.isr': inSync,
    'offsets.topic.num.partitions': 4,
    'transaction.state.log.num.partitions': COORDINATORS,
    'group.initial.rebalance.delay.ms': 0,
    'auto.create.topics.enable': false,
    'broker.session.timeout.ms': 3_000,
    'broker.heartbeat.interval.ms': 500,
    'replica.lag.time.max.ms': 3_000,
  };
}

interface BrokerParts {
  readonly id: number;
  readonly address: string;
  readonly file: string;
  readonly folder: string;
  readonly classPath: string;
  readonly log4j: string;
}

class RunningBroker implements TestBroker {
  readonly id: number;
  readonly address: string;
  readonly #parts: BrokerParts;
  #child: ChildProcess | null = null;

  constructor(parts: BrokerParts) {
    this.id = parts.id;
    this.address = parts.address;
    this.#parts = parts;
  }

  get pid(): number {
    return this.#child?.pid ?? 0;
  }

  async start(): Promise<void> {
    // A killed broker may still hold its folder.
    await this.kill();
    const { classPath, file, log4j } = this.#parts;
    const output = openSync(this.#outputFile, 'a');
    const options = [...JVM, `-Dlog4j2.configurationFile=file:${log4j}`, '-cp', classPath, 'kafka.Kafka', file];
    const child = spawn('java', options, { stdio: ['ignore', output, output] });
    this.#child = child;
    const until = Date.now() + START_MS_MAX;
    for (;;) {
      if (child.exitCode !== null) throw new Error(`broker ${this.id} has ended:\n${this.#output()}`);
      if (
        await this.nodes().then(
          (nodes) => nodes.includes(this.id),
          () => false,
        )
      )
        return;
      if (Date.now() > until) throw new Error(`broker ${this.id} was not ready within ${START_MS_MAX} ms:\n${this.#output()}`);
      await new Promise((resolve) => setTimeout(resolve, 200));
    }
  }

  /** Ids of the brokers that this one knows. */
  async nodes(): Promise<number[]> {
    const [host, port] = this.address.split(':');
    const connection = new Connection('test', { connectTimeout: 1_000, requestTimeout: 2_000 });
    connection.on('error', () => {});
    try {
      await connection.connect(host as string, Number(port));
      const { brokers } = await metadataV12.api.async(connection, [], false, false);
      return brokers.map(({ nodeId }) => nodeId);
    } finally {
      await connection.close().catch(() => {});
    }
  }

  async kill(): Promise<void> {
    const child = this.#child;
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    child.kill('SIGKILL');
    await once(child, 'exit');
  }

  pause(): void {
    this.#child?.kill('SIGSTOP');
  }

  resume(): void {
    this.#child?.kill('SIGCONT');
  }

  get #outputFile(): string {
    return join(this.#parts.folder, `broker-${this.id}.txt`);
  }

  #output(): string {
    return readFileSync(this.#outputFile, 'utf8').slice(-2_000);
  }
}

/** Waits until producers get their ids: the brokers create the partitions of their coordinators with the first request, which takes seconds under load. */
async function whenCoordinated(brokers: readonly RunningBroker[]): Promise<void> {
  const cluster = new KafkaBrokers({ brokers: brokers.map(({ address }) => address), clientId: 'millrace-test' }, 'coordinators');
  const until = Date.now() + START_MS_MAX;
  try {
    // Enough ids that each partition has some.
    for (let id = 0; id < COORDINATORS * 4; id++)
      while (!(await cluster.initProducer(id).catch(() => null))) {
        if (Date.now() > until) throw new Error('the coordinators of producers do not respond');
        await new Promise((resolve) => setTimeout(resolve, 100));
      }
  } finally {
    await cluster.close();
  }
}

/** Resolves when each broker knows all of them. */
async function whenComplete(brokers: readonly RunningBroker[]): Promise<void> {
  const until = Date.now() + START_MS_MAX;
  for (const broker of brokers)
    while ((await broker.nodes()).length < brokers.length) {
      if (Date.now() > until) throw new Error(`broker ${broker.id} does not know all brokers`);
      await new Promise((resolve) => setTimeout(resolve, 200));
    }
}
