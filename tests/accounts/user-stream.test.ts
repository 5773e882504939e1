import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import type { AccountSnapshot, AccountStatus } from '@millrace/contracts';
import { envelopesOf } from '@millrace/log';
import { until } from '@millrace/testing';
import { EventSource } from 'eventsource';
import { WebSocket } from 'ws';
import { recordedEvents } from '../recorded-events.ts';
import { type Guarded, startGuarded, Visitor } from './visitor.ts';

/*
 * The private stream of a user: results of background work are published at once, to this user only, and survive lost connections and crashes.
 */

interface News {
  readonly event: string;
  readonly id: string;
  readonly data: { channel: string; data: Record<string, unknown> };
}
const EVENTS = [
  'ready',
  'account',
  'account.created',
  'snapshots.progressed',
  'snapshots.generated',
  'snapshots.failed',
  'audited',
  'decided',
];

const cookiesOf = (visitor: Visitor) => [...visitor.jar].map(([name, value]) => `${name}=${value}`).join('; ');

/** Subscribes to the private channel of a user, like a browser. */
class Watcher {
  readonly news: News[] = [];
  readonly #source: EventSource;
  #changed: () => void = () => {};

  constructor(visitor: Visitor, lastEventId?: string, channel = 'user') {
    const url = `${visitor.url}/api/v1/stream?channels=${channel}${lastEventId === undefined ? '' : `&lastEventId=${lastEventId}`}`;
    this.#source = new EventSource(url, {
      fetch: (input, init) => fetch(input, { ...init, headers: { ...init.headers, cookie: cookiesOf(visitor) } }),
    });
    for (const event of EVENTS)
      this.#source.addEventListener(event, ({ data, lastEventId: id }) => {
        this.news.push({ event, id, data: JSON.parse(data) });
        this.#changed();
      });
  }

  async until(holds: (news: readonly News[]) => boolean): Promise<void> {
    while (!holds(this.news))
      await new Promise<void>((resolve) => {
        this.#changed = resolve;
      });
  }

  named(event: string): Record<string, unknown>[] {
    return this.news.filter((one) => one.event === event).map(({ data }) => data.data);
  }

  close(): void {
    this.#source.close();
  }
}

describe('the private stream of a user', () => {
  const folder = mkdtempSync(join(tmpdir(), 'millrace-own-'));
  let guarded: Guarded;
  const watchers: Watcher[] = [];
  before(async () => {
    guarded = await startGuarded(folder);
  });
  after(async () => {
    for (const watcher of watchers) watcher.close();
    await guarded.server.stop();
    rmSync(folder, { recursive: true, force: true });
  });
  const watch = (visitor: Visitor, lastEventId?: string, channel?: string) => {
    const watcher = new Watcher(visitor, lastEventId, channel);
    watchers.push(watcher);
    return watcher;
  };
  const has =
    (event: string, times = 1) =>
    (news: readonly News[]) =>
      news.filter((one) => one.event === event).length >= times;
  const snapshotOf = async (visitor: Visitor): Promise<AccountSnapshot> => {
    let made: AccountSnapshot | null = null;
    await until(async () => {
      made = (await visitor.get<AccountStatus>('GET', '/account/snapshot')).snapshot;
      return made !== null;
    }, 'the snapshot is made');
    return made as unknown as AccountSnapshot;
  };

  test('a new user gets a first snapshot, generated in the background', async () => {
    const member = await guarded.member('trader');
    const snapshot = await snapshotOf(member);
    assert.equal(snapshot.request, 'first');
    assert.deepEqual([snapshot.profile.role, snapshot.profile.tenant], ['trader', 'main']);
    assert.ok(snapshot.watchlist.includes('simulator:BTC-USDT' as never));
    assert.equal(snapshot.limits.requestsPerSecond, 1_000);
  });

  test('a requested snapshot is published step by step, to its user only, over both transports', async () => {
    const [kim, lee] = [await guarded.member('viewer'), await guarded.member('viewer')];
    const first = await snapshotOf(kim);
    await snapshotOf(lee);
    const [watcher, other] = [watch(kim), watch(lee)];
    const socket = new WebSocket(`${guarded.server.url.replace('http', 'ws')}/api/v1/socket`, { headers: { cookie: cookiesOf(kim) } });
    await new Promise((resolve, reject) => socket.once('open', resolve).once('error', reject));
    const overSocket: { event?: string; ok?: boolean }[] = [];
    socket.on('message', (raw) => overSocket.push(JSON.parse(String(raw))));
    socket.send(JSON.stringify({ op: 'subscribe', id: 1, channels: ['user'] }));
    await Promise.all([watcher.until(has('account')), other.until(has('account'))]);
    await kim.get('POST', '/account/snapshot');
    await watcher.until(has('snapshots.generated'));
    assert.deepEqual(
      watcher.named('snapshots.progressed').map(({ done, of }) => [done, of]),
      [
        [1, 3],
        [2, 3],
        [3, 3],
      ],
    );
    const [made] = watcher.named('snapshots.generated');
    assert.notEqual(made?.request, first.request);
    await lee.get('POST', '/account/snapshot');
    await other.until(has('snapshots.generated'));
    assert.deepEqual(new Set(other.news.slice(1).map(({ data }) => data.channel)).size, 1);
    assert.equal(other.named('snapshots.generated').length, 1);
    assert.notEqual(other.named('snapshots.generated')[0]?.request, made?.request);
    assert.deepEqual(
      overSocket.filter(({ event }) => event?.startsWith('snapshots')).map(({ event }) => event),
      ['snapshots.progressed', 'snapshots.progressed', 'snapshots.progressed', 'snapshots.generated'],
    );
    socket.close();
  });

  test('events during a lost connection arrive afterwards, once', async () => {
    const member = await guarded.member('viewer');
    await snapshotOf(member);
    const before_ = watch(member);
    await before_.until(has('account'));
    const { id = '' } = before_.news.at(-1) ?? {};
    before_.close();
    await member.get('POST', '/account/snapshot');
    const again = watch(member, id);
    await again.until(has('snapshots.generated'));
    assert.equal(again.named('snapshots.progressed').length, 3);
    assert.equal(again.named('account').length, 0);
  });

  test('the trace id of a request is in all events that it causes, also asynchronous ones', async () => {
    const member = await guarded.member('viewer');
    await snapshotOf(member);
    const [asked, announced] = ['1', '2'].map((digit) => digit.repeat(32));
    const traced = (trace = '') => ({ traceparent: `00-${trace}-${'3'.repeat(16)}-01` });
    assert.equal((await member.ask('POST', '/api/v1/account/snapshot', undefined, traced(asked))).status, 200);
    const text = { text: 'hello', operator: 'kim' };
    const announce = () => guarded.owner.ask('POST', '/api/v1/world/zones/0-0/announcements', text, traced(announced));
    await until(async () => (await announce()).status === 200, 'the zone is open, and announces');
    const found = (topic: 'accounts' | 'worlds', trace: string | undefined, types: readonly string[]) =>
      until(
        async () => {
          const envelopes = (await recordedEvents(join(folder, 'data'), topic)).flatMap((batch) => [...envelopesOf(batch)]);
          const seen = new Set(envelopes.filter(({ correlation }) => correlation === trace).map(({ type }) => type));
          return types.every((type) => seen.has(type));
        },
        `${types.join(', ')} are on record`,
      );
    await found('accounts', asked, ['AccountSnapshotRequested', 'AccountSnapshotProgressed', 'AccountSnapshotGenerated']);
    await found('worlds', announced, ['Announced']);
  });

  test('the feed of a tenant has its own events and no others', async () => {
    const acme = await guarded.tenant('acme');
    const feeds = await Promise.all(
      [
        ['acme', acme],
        ['main', guarded.owner],
      ].map(async ([tenant, admin]) => {
        const feed = watch(admin as Visitor, undefined, `tenants:${tenant}`);
        await feed.until(has('ready'));
        return feed;
      }),
    );
    const [ours, theirs] = feeds as [Watcher, Watcher];
    const member = await guarded.member('viewer', 'acme');
    await snapshotOf(member);
    await ours.until(() => ours.named('decided').some(({ type }) => type === 'AccountSnapshotGenerated'));
    assert.ok(ours.named('audited').some(({ action }) => action === 'user invited'));
    const created = ours.named('decided').find(({ type }) => type === 'AccountCreated');
    assert.equal(created?.zone, `account/${(await member.get<{ user: string }>('GET', '/account')).user}`);
    assert.equal('data' in (created ?? {}), false, 'that it happened, not what is in it');
    // An event of the tenant main follows, and is the first one of its feed.
    await guarded.owner.get('POST', '/tenants/main/invitations', { role: 'viewer' });
    await theirs.until(has('audited'));
    assert.deepEqual(
      new Set(theirs.news.filter(({ event }) => event !== 'ready').map(({ data }) => data.channel)),
      new Set(['tenants:main']),
    );
    assert.equal(theirs.named('decided').length, 0);
    assert.deepEqual(
      theirs.named('audited').map(({ action }) => action),
      ['user invited'],
    );
  });

  test('a second request waits, and a crash loses none', async () => {
    const member = await guarded.member('viewer');
    await snapshotOf(member);
    const answers = await Promise.all(Array.from({ length: 5 }, () => member.ask('POST', '/api/v1/account/snapshot')));
    assert.ok(answers.filter(({ status }) => status === 409).length >= 1);
    const watcher = watch(member);
    await watcher.until((news) => has('snapshots.generated')(news) || watcher.named('account').some(({ underWay }) => underWay === null));
    const { snapshot } = await member.get<AccountStatus>('GET', '/account/snapshot');
    watcher.close();
    await guarded.server.kill();
    await guarded.startAgain();
    const back = new Visitor(guarded.server.url);
    for (const [name, value] of member.jar) back.jar.set(name, value);
    // A snapshot published just before the crash may not be durable; then it is generated again.
    let kept: AccountSnapshot | null = null;
    await until(async () => {
      kept = (await back.get<AccountStatus>('GET', '/account/snapshot')).snapshot;
      return kept?.request === snapshot?.request;
    }, 'the snapshot is back');
    assert.deepEqual({ ...(kept as unknown as AccountSnapshot), generatedAt: 0 }, { ...snapshot, generatedAt: 0 });
  });
});
