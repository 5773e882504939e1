import assert from 'node:assert/strict';
import { BlockList, isIPv6 } from 'node:net';
import { test } from 'node:test';
import fc from 'fast-check';
import { clientNetwork } from './client-network.ts';

test('IPv4 addresses count one by one, also when they are written as IPv6', () => {
  assert.equal(clientNetwork('203.0.113.7'), '203.0.113.7');
  assert.equal(clientNetwork('::ffff:203.0.113.7'), '203.0.113.7');
  assert.equal(clientNetwork(''), '');
});

test('IPv6 addresses have the same key exactly if their first 64 bits are equal, however they are written', () => {
  const group = fc.oneof(fc.constant(0), fc.constant(1), fc.integer({ min: 0, max: 0xffff }));
  const address = fc.tuple(group, group, group, group, group, group, group, group);
  const full = (groups: readonly number[]) => groups.map((each) => each.toString(16).padStart(4, '0')).join(':');
  /** The usual short form, as Node gives it. */
  const short = (groups: readonly number[]) => new URL(`http://[${full(groups)}]`).hostname.slice(1, -1);
  fc.assert(
    fc.property(address, address, fc.boolean(), (one, random, isNear) => {
      const other = isNear ? ([...one.slice(0, 4), ...random.slice(4)] as typeof one) : random;
      const network = new BlockList();
      network.addSubnet(full(one), 64, 'ipv6');
      const key = clientNetwork(short(one));
      assert.equal(key, clientNetwork(full(one).toUpperCase()));
      assert.ok(isIPv6(key.replace('/64', '').replace(/^(.*)::$/, '$1:0:0:0:0')), key);
      assert.equal(clientNetwork(short(other)) === key, network.check(full(other), 'ipv6'), `${short(one)} and ${short(other)}`);
    }),
    { numRuns: 1_000 },
  );
});
