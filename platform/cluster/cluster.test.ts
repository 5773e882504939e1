import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { ManualClock } from '@millrace/kernel/testing';
import { ClusterNode } from './cluster-node.ts';
import { Coordinator } from './coordinator.ts';
import type { Assignment, Heartbeat, HostId } from './messages.ts';

const ZONES = ['world/0-0', 'world/1-0', 'world/2-0', 'world/3-0', 'world/4-0', 'world/5-0'];
const LEASE_MS = 1_000;

/** Hosts that open and release zones immediately, on one clock, with a network that can be cut. */
function cluster(hostsExpected: number, broken: string[] = [], standbys = false) {
  const clock = new ManualClock(1_000);
  const nodes = new Map<HostId, ClusterNode>();
  const cut = new Set<HostId>();
  const placed = new Map<string, HostId | null>();
  const hostEvents: string[] = [];
  const held = new Map<HostId, Set<string>>();
  const standing = new Map<HostId, Set<string>>();
  /** Zones that were opened at a host that stood by for them. */
  const ready: string[] = [];
  const attempts: { zone: string; at: number }[] = [];
  const coordinator: Coordinator = new Coordinator({
    clock,
    zones: ZONES,
    leaseMs: LEASE_MS,
    hostsExpected,
    standbys,
    send: (host, assignment: Assignment) => clock.soon(() => !cut.has(host) && nodes.get(host)?.received(assignment)),
    onPlaced: (zone, host) => placed.set(zone, host),
    onHost: (host, what) => hostEvents.push(`${host} ${what}`),
  });
  const join = (id: HostId, incarnation = 'first', machine = '') => {
    const mine = new Set<string>();
    held.set(id, mine);
    const node = new ClusterNode({
      id,
      incarnation,
      machine,
      clock,
      leaseMs: LEASE_MS,
      host: {
        open: async (zone) => {
          attempts.push({ zone, at: clock.elapsed() });
          if (broken.includes(zone)) throw new Error(`${zone} cannot be opened`);
          mine.add(zone);
          if (standing.get(id)?.has(zone)) ready.push(zone);
        },
        standBy: (zones) => void standing.set(id, new Set(zones)),
        release: async (zone) => void mine.delete(zone),
        abandon: (zone) => void mine.delete(zone),
      },
      send: (heartbeat: Heartbeat) => clock.soon(() => !cut.has(id) && coordinator.received(heartbeat)),
      onOpened: () => {},
      onClosed: () => {},
      onFailure: () => {},
    });
    nodes.set(id, node);
    return node;
  };
  const zonesOf = (id: HostId) => [...placed].filter(([, host]) => host === id).map(([zone]) => zone);
  return { clock, coordinator, join, cut, hostEvents, held, zonesOf, attempts, standing, ready };
}

describe('placement', () => {
  test('distributes zones evenly, each to one host', async () => {
    const { clock, join, zonesOf, held } = cluster(2);
    join('a');
    join('b');
    await clock.advance(1_500);
    assert.deepEqual([zonesOf('a').length, zonesOf('b').length], [3, 3]);
    assert.deepEqual(zonesOf('a').sort(), [...(held.get('a') ?? [])].sort());
  });

  test('moves the zones of a silent host when its lease has expired, and not before', async () => {
    const { clock, join, cut, zonesOf, held, hostEvents } = cluster(2);
    join('a');
    join('b');
    await clock.advance(1_500);
    cut.add('a');
    await clock.advance(LEASE_MS - 300);
    assert.equal(zonesOf('b').length, 3);
    await clock.advance(600);
    assert.equal(zonesOf('b').length, 6);
    assert.equal(held.get('a')?.size, 0, 'the disconnected host has abandoned its zones');
    assert.ok(hostEvents.includes('a silent'));
  });

  test('moves the zones of a host at once when its process has ended', async () => {
    const { clock, join, coordinator, cut, zonesOf } = cluster(2);
    join('a');
    join('b');
    await clock.advance(1_500);
    cut.add('a');
    coordinator.left('a');
    await clock.advance(250);
    assert.equal(zonesOf('b').length, 6);
  });

  test('rebalances when a host joins, and no zone is at two hosts at a time', async () => {
    const { clock, join, zonesOf, held } = cluster(1);
    join('a');
    await clock.advance(1_500);
    assert.equal(zonesOf('a').length, 6);
    join('b');
    for (let step = 0; step < 40; step++) {
      await clock.advance(50);
      for (const zone of held.get('a') ?? []) assert.ok(!held.get('b')?.has(zone), `${zone} is at two hosts`);
    }
    assert.deepEqual([zonesOf('a').length, zonesOf('b').length], [3, 3]);
  });

  test('drains a host: its zones move to others, and it gets no more', async () => {
    const { clock, join, coordinator, zonesOf, hostEvents } = cluster(2);
    join('a');
    join('b');
    await clock.advance(1_500);
    assert.equal(coordinator.drain('a'), true);
    assert.equal(coordinator.drain('unknown'), false);
    await clock.advance(3_000);
    assert.deepEqual([zonesOf('a').length, zonesOf('b').length], [0, 6]);
    const drained = () => hostEvents.filter((event) => event === 'a drained').length;
    assert.equal(drained(), 1, 'it is reported once');
    coordinator.undrain('a');
    await clock.advance(3_000);
    assert.equal(zonesOf('a').length, 3);
    coordinator.drain('a');
    await clock.advance(3_000);
    assert.equal(drained(), 2);
  });

  test('drains a host although some zones cannot be opened anywhere', async () => {
    const { clock, coordinator, join, held } = cluster(2, ZONES.slice(0, 4));
    join('a');
    join('b');
    await clock.advance(1_500);
    coordinator.drain('a');
    await clock.advance(60_000);
    assert.deepEqual([...(held.get('a') ?? [])], []);
    assert.deepEqual([...(held.get('b') ?? [])].sort(), ZONES.slice(4));
    assert.equal(coordinator.hosts().find(({ id }) => id === 'a')?.zones, 0);
  });

  test('a zone that cannot be opened is tried again at growing intervals of at most 2 s, without end', async () => {
    const broken = ZONES.slice(0, 1);
    const { clock, join, held, attempts } = cluster(1, broken);
    join('one');
    await clock.advance(60_000);
    const times = attempts.filter(({ zone }) => zone === ZONES[0]).map(({ at }) => at);
    const waits = times.slice(1).map((at, index) => at - (times[index] ?? 0));
    assert.ok(Math.max(...waits) <= 2_000 + LEASE_MS / 5, `${waits}`);
    assert.ok(times.length >= 27 && times.length <= 35, `${times.length} attempts in 60 s`);
    assert.equal(attempts.filter(({ zone }) => zone === ZONES[1]).length, 1);
    broken.length = 0;
    await clock.advance(2_400);
    assert.deepEqual([...(held.get('one') ?? [])].sort(), [...ZONES].sort());
  });

  test('a host that was paused abandons its zones before anything else, because its lease has expired', async () => {
    const { clock, join, cut, held, coordinator } = cluster(1);
    join('a');
    await clock.advance(1_500);
    assert.equal(held.get('a')?.size, 6);
    cut.add('a');
    clock.jump(5_000);
    await clock.advance(0);
    assert.equal(held.get('a')?.size, 0);
    await clock.advance(500);
    cut.delete('a');
    await clock.advance(1_500);
    assert.equal(held.get('a')?.size, 6);
    assert.equal(coordinator.hosts()[0]?.open, 6);
  });

  test('a host that was silent and returns gets zones again', async () => {
    const { clock, join, cut, zonesOf } = cluster(2);
    join('a');
    join('b');
    await clock.advance(1_500);
    for (let round = 0; round < 4; round++) {
      cut.add('a');
      await clock.advance(3_000);
      assert.equal(zonesOf('b').length, 6);
      cut.delete('a');
      await clock.advance(4_000);
      assert.deepEqual([zonesOf('a').length, zonesOf('b').length], [3, 3]);
    }
  });

  test('a coordinator that was paused reads waiting heartbeats before it expires leases', async () => {
    const { clock, join, hostEvents } = cluster(1);
    join('a');
    await clock.advance(1_500);
    clock.jump(5_000);
    await clock.advance(2_000);
    assert.ok(!hostEvents.includes('a silent'));
  });

  test('repeated and late heartbeats change nothing', async () => {
    const { clock, join, coordinator, zonesOf } = cluster(1);
    join('a');
    await clock.advance(1_500);
    coordinator.received({ type: 'heartbeat', host: 'a', incarnation: 'first', number: 1, version: 0, open: [], holding: [] });
    await clock.advance(10);
    assert.equal(zonesOf('a').length, 6);
  });
});

describe('standbys', () => {
  /** Zones that each host stands by for, by the coordinator; every host does what it says. */
  const standbysOf = ({ coordinator, standing }: ReturnType<typeof cluster>, ids: string) =>
    [...ids].map((id) => {
      const zones = ZONES.filter((zone) => coordinator.standbyOf(zone) === id);
      assert.deepEqual([...(standing.get(id) ?? [])].sort(), zones.sort());
      assert.equal(coordinator.hosts().find((host) => host.id === id)?.standby ?? 0, zones.length);
      return zones.length;
    });

  test('are other hosts than the owners, for the same number of zones each', async () => {
    const all = cluster(3, [], true);
    for (const id of 'abc') all.join(id);
    await all.clock.advance(3_000);
    assert.deepEqual(standbysOf(all, 'abc'), [2, 2, 2]);
    for (const zone of ZONES) assert.notEqual(all.coordinator.hostOf(zone), all.coordinator.standbyOf(zone));
  });

  test('are none with a single host, and none when they are off', async () => {
    for (const [hosts, isOn] of [
      ['a', true],
      ['ab', false],
    ] as const) {
      const all = cluster(hosts.length, [], isOn);
      for (const id of hosts) all.join(id);
      await all.clock.advance(3_000);
      assert.deepEqual(
        standbysOf(all, hosts),
        [...hosts].map(() => 0),
      );
      assert.equal(all.standing.size, 0);
    }
  });

  /** Hosts of which the zones of `a` have their standbys all at `b`, which is on the other machine. */
  async function onTwoMachines() {
    const all = cluster(3, [], true);
    for (const id of 'abc') all.join(id, 'first', id === 'b' ? 'two' : 'one');
    await all.clock.advance(3_000);
    const zones = all.zonesOf('a');
    assert.ok(zones.length > 1 && zones.every((zone) => all.coordinator.standbyOf(zone) === 'b'));
    all.ready.length = 0;
    return { all, zones };
  }

  test('get the zones of a host that is lost, and stand by for them until they are open; then these have other standbys', async () => {
    const { all, zones } = await onTwoMachines();
    all.cut.add('a');
    all.coordinator.left('a');
    await all.clock.advance(250);
    for (const zone of zones) assert.ok(all.ready.includes(zone), `${zone} was opened by its standby`);
    await all.clock.advance(3_000);
    assert.deepEqual(standbysOf(all, 'bc'), [3, 3]);
    for (const zone of ZONES) assert.notEqual(all.coordinator.hostOf(zone), all.coordinator.standbyOf(zone));
  });

  test('get the zones of a host that is drained', async () => {
    const { all, zones } = await onTwoMachines();
    all.coordinator.drain('a');
    await all.clock.advance(3_000);
    assert.deepEqual(all.zonesOf('a'), []);
    for (const zone of zones) assert.ok(all.ready.includes(zone), `${zone} was opened by its standby`);
    assert.deepEqual(standbysOf(all, 'abc'), [0, 3, 3]);
  });
});
