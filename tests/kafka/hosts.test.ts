import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { systemClock } from '@millrace/base/clock';
import { type KafkaBrokers, KafkaJournal, MemoryManifests, openKafkaTopic } from '@millrace/kafka';
import { kafkaMissing, openTestKafka, type TestKafka } from '@millrace/kafka/testing';
import { type HostFailure, type Reply, ZoneHost } from '@millrace/kernel';
import { openNumbers, type Turnstile, turnstile } from '@millrace/kernel/testing';
import { openSpools } from '@millrace/log';
import { seqsOf } from '@millrace/log/testing';
import { openFileSnapshots } from '@millrace/snapshots';
import { until } from '@millrace/testing';
import { DelayingProxy } from './delaying-proxy.ts';

/*
 * Zone hosts on machines of their own, with a log on three real brokers. Each host has its own spools; cold snapshots are shared.
 */

const SHARDS = 2;
const ZONES = Array.from({ length: 6 }, (_none, index) => `turnstile/${index}`);
const [ZONE = ''] = ZONES;
const shardOf = (zone: string) => Number(zone.split('/')[1]) % SHARDS;
/** A turnstile without a limit that tests reach. */
const wide = { ...turnstile, create: () => ({ ...turnstile.create(''), capacity: 1e9 }) };
const missing = await kafkaMissing();

describe('zone hosts on three real brokers', { skip: missing ?? false }, () => {
  let kafka: TestKafka;
  let folder = '';
  const machines: Machine[] = [];
  before(async () => {
    folder = mkdtempSync(join(tmpdir(), 'millrace-kafka-hosts-'));
    kafka = await openTestKafka();
  });
  after(async () => {
    for (const machine of machines) await machine.close();
    await kafka?.close();
    rmSync(folder, { recursive: true, force: true });
  });
  const machine = async (topic: string) => {
    const opened = await Machine.open(kafka, { folder: join(folder, topic), topic, name: `machine-${machines.length}` });
    machines.push(opened);
    return opened;
  };

  test('what a host decides after another has claimed its shard is neither in the log nor in a snapshot', async () => {
    const first = await machine('zombie');
    await first.host.open(ZONE);
    for (let people = 1; people <= 5; people++) assert.ok((await first.admit(ZONE, people)).ok);
    first.hold(true);
    const undecided = first.admit(ZONE, 100);
    await until(() => first.admitted(ZONE) === 115, 'it decides, cut off from the brokers');
    const snapshots = [first.host.snapshot(ZONE, 'cold'), first.host.snapshot(ZONE, 'hot')];
    const second = await machine('zombie');
    await second.host.open(ZONE);
    assert.equal(second.admitted(ZONE), 15);
    assert.ok((await second.admit(ZONE, 7)).ok);
    assert.equal(await second.host.snapshot(ZONE, 'cold'), null);
    first.hold(false);
    await until(() => first.failures.some(({ kind }) => kind === 'zone-lost'), 'the first host learns that it has lost the zone');
    assert.equal((await undecided).ok, false);
    for (const failure of await Promise.all(snapshots)) assert.notEqual(failure, null, 'its snapshot is not stored');
    for (const { seq, epoch } of await first.cold.list(ZONE)) assert.ok(epoch === 2 || seq <= 5, `a snapshot of epoch ${epoch} at ${seq}`);
    await second.host.close();
    const third = await machine('zombie');
    await third.host.open(ZONE);
    assert.deepEqual([third.admitted(ZONE), third.host.view(ZONE)?.seq], [22, 6]);
  });

  test('with too few in-sync replicas zones go on, confirm nothing, and lose nothing', async () => {
    const first = await machine('replicas');
    for (const zone of ZONES) await first.host.open(zone);
    for (const zone of ZONES) assert.ok((await first.admit(zone, 1)).ok);
    const [one, two] = kafka.brokers;
    await Promise.all([one?.kill(), two?.kill()]);
    let confirmed = 0;
    const waiting = ZONES.map((zone) => first.admit(zone, 10).then((reply) => (reply.ok ? confirmed++ : assert.fail(reply.message))));
    await until(() => ZONES.every((zone) => first.admitted(zone) === 11), 'the zones decide');
    await until(() => first.failures.some(({ kind }) => kind === 'log'), 'the log is reported as unavailable');
    assert.equal(confirmed, 0);
    await Promise.all([one?.start(), two?.start()]);
    await Promise.all(waiting);
    await first.host.recorded();
    await first.kill();
    const second = await machine('replicas');
    for (const zone of ZONES) {
      await second.host.open(zone);
      assert.equal(second.admitted(zone), 11, zone);
      assert.deepEqual(await seqsOf(second.log, zone), [1, 2]);
    }
  });

  test('law: over hosts and leaders that are killed in turn, confirmed commands are in the state once, and others at most once', async () => {
    const confirmed = new Map(ZONES.map((zone) => [zone, 0]));
    const sent = new Map(ZONES.map((zone) => [zone, 0]));
    for (let turn = 0; turn < 4; turn++) {
      const owner = await machine('turns');
      for (const zone of ZONES) {
        await until(() => owner.host.open(zone).then(() => true), `${zone} is open`);
        const admitted = owner.admitted(zone) ?? 0;
        const [least = 0, most = 0] = [confirmed.get(zone), sent.get(zone)];
        assert.ok(admitted >= least && admitted <= most, `${zone} has admitted ${admitted}, of ${least} confirmed and ${most} sent`);
        // What the owner before did not confirm is decided now.
        confirmed.set(zone, admitted);
        sent.set(zone, admitted);
      }
      const broker = kafka.brokers[turn % kafka.brokers.length];
      const isBrokerKilled = turn % 2 === 0;
      const before = [...confirmed.values()].reduce((sum, count) => sum + count, 0);
      let isRunning = true;
      const senders = ZONES.map(async (zone) => {
        while (isRunning) {
          sent.set(zone, (sent.get(zone) ?? 0) + 1);
          const reply = await owner.admit(zone, 1);
          if (reply.ok) confirmed.set(zone, (confirmed.get(zone) ?? 0) + 1);
        }
      });
      const hasConfirmed = (count: number) => [...confirmed.values()].reduce((sum, one) => sum + one, 0) >= before + count;
      await until(() => hasConfirmed(100), 'commands are confirmed');
      if (isBrokerKilled) await broker?.kill();
      await until(() => hasConfirmed(300), 'commands are confirmed with the other brokers');
      isRunning = false;
      await owner.kill();
      await Promise.race([Promise.all(senders), owner.closed]);
      if (isBrokerKilled) await broker?.start();
    }
  });
});

/** A machine with one zone host. */
class Machine {
  readonly failures: HostFailure[] = [];
  readonly host: ZoneHost;
  readonly log: KafkaJournal;
  readonly cold: ReturnType<typeof openFileSnapshots>;
  readonly #topic: KafkaBrokers;
  readonly #proxies: readonly DelayingProxy[];
  readonly #closed = Promise.withResolvers<void>();
  #hasLease = true;
  #isClosed = false;

  static async open(kafka: TestKafka, place: { folder: string; topic: string; name: string }): Promise<Machine> {
    const proxies = await Promise.all(kafka.addresses.map((address) => DelayingProxy.open(address)));
    const addresses = Object.fromEntries(kafka.addresses.map((address, index) => [address, proxies[index]?.address ?? address]));
    const topic = await openKafkaTopic(
      { brokers: kafka.addresses, clientId: place.name, addresses },
      { name: place.topic, shards: SHARDS },
    );
    return new Machine(topic, proxies, place);
  }

  private constructor(topic: KafkaBrokers, proxies: readonly DelayingProxy[], { folder, name }: { folder: string; name: string }) {
    this.#topic = topic;
    this.#proxies = proxies;
    this.cold = openFileSnapshots(join(folder, 'cold'));
    this.log = new KafkaJournal({ broker: topic, clock: systemClock, manifests: new MemoryManifests(), shards: SHARDS, shardOf });
    this.host = new ZoneHost({
      log: this.log,
      hot: openFileSnapshots(join(folder, name, 'hot')),
      cold: this.cold,
      spools: openSpools(join(folder, name, 'spool'), { bytesMax: 2 ** 20 }),
      clock: systemClock,
      random: openNumbers,
      lease: { leftMs: () => (this.#hasLease ? 60_000 : 0) },
      onFailure: (failure) => void this.failures.push(failure),
    });
    this.host.register(wide);
  }

  /** Resolves with the reply when the log has the event. */
  admit(zone: string, people: number): Promise<Reply> {
    return this.host.submit(zone, { type: 'Admit', people }, { durable: true });
  }

  admitted(zone: string): number | undefined {
    return (this.host.view(zone)?.state as Turnstile | undefined)?.admitted;
  }

  /** Whether appends are kept back before they reach the brokers. */
  hold(isHeld: boolean): void {
    for (const proxy of this.#proxies) {
      if (isHeld) proxy.isHolding = true;
      else proxy.release();
    }
  }

  /** Ends as a process that is killed: it decides and sends nothing more. */
  async kill(): Promise<void> {
    this.#hasLease = false;
    await this.close();
  }

  get closed(): Promise<void> {
    return this.#closed.promise;
  }

  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    await this.#topic.close();
    for (const proxy of this.#proxies) await proxy.close();
    this.#closed.resolve();
  }
}
