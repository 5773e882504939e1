import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { EventBatch, FollowedPart, Journal, LogPosition, ShardWriter } from '@millrace/kernel';

interface JournalParts {
  readonly log: () => Journal;
  readonly own: (zone: string) => Promise<ShardWriter>;
  readonly batch: (zone: string, firstSeq: number, count: number) => EventBatch;
  readonly reopen: () => Promise<void>;
  /** Two zones in two shards. */
  readonly zones: readonly [string, string];
}

/** A follower of the shard of a zone. */
class Following {
  readonly batches: { readonly batch: EventBatch; readonly position: LogPosition }[] = [];
  readonly #run = new AbortController();
  readonly #ended: Promise<void>;
  #changed = Promise.withResolvers<void>();

  constructor(log: Journal, zone: string, from: readonly (LogPosition | null)[]) {
    this.#ended = this.#follow(log.follow(log.shardOf(zone), from, this.#run.signal)).finally(() => this.#changed.resolve());
  }

  get events(): string[] {
    return this.batches.flatMap(({ batch }) => batch.events.map((_event, index) => `${batch.zone} ${batch.firstSeq + index}`));
  }

  /** Resolves when it has the event. */
  async has(event: string): Promise<void> {
    while (!this.events.includes(event)) {
      await Promise.race([this.#changed.promise, this.#ended.then(() => assert.fail(`the follower ended without ${event}`))]);
      this.#changed = Promise.withResolvers();
    }
  }

  async end(): Promise<void> {
    this.#run.abort();
    await this.#ended;
  }

  async #follow(parts: AsyncIterable<FollowedPart>): Promise<void> {
    for await (const { batches } of parts) {
      this.batches.push(...batches);
      this.#changed.resolve();
    }
  }
}

/** The part of the contract of a journal that is about followers. */
export function followContract({ log, own, batch, reopen, zones: [zone, other] }: JournalParts): void {
  const read = async (of: string, afterSeq: number, from: LogPosition | null) => {
    const seqs: number[] = [];
    for await (const { firstSeq, events } of log().read(of, afterSeq, from)) seqs.push(...events.map((_event, index) => firstSeq + index));
    return seqs;
  };

  test('gives a follower the batches of a shard in order, those that come while it follows too, and none of other shards', async () => {
    const writer = await own(zone);
    await writer.append([batch(zone, 1, 2)]);
    await (await own(other)).append([batch(other, 1, 3)]);
    const following = new Following(log(), zone, [null]);
    await following.has(`${zone} 2`);
    await writer.append([batch(zone, 3, 1)]);
    await writer.append([batch(zone, 4, 2)]);
    await following.has(`${zone} 5`);
    await following.end();
    assert.deepEqual(
      following.events,
      [1, 2, 3, 4, 5].map((seq) => `${zone} ${seq}`),
    );
  });

  test('gives a follower nothing of an owner that another has followed, and the events of the next owners', async () => {
    const first = await own(zone);
    await first.append([batch(zone, 1, 1)]);
    const following = new Following(log(), zone, [null]);
    const second = await own(zone);
    await assert.rejects(first.append([{ ...batch(zone, 2, 1), version: 99 }]));
    await second.append([batch(zone, 2, 1)]);
    await (await own(zone)).append([batch(zone, 3, 1)]);
    await following.has(`${zone} 3`);
    await following.end();
    assert.deepEqual(following.events, [`${zone} 1`, `${zone} 2`, `${zone} 3`]);
    assert.ok(following.batches.every(({ batch: { version } }) => version === 1));
  });

  test('tells the place of a shard, from which a follower gets all that its heads do not have', async () => {
    const empty = await log().placeOf(log().shardOf(zone));
    assert.deepEqual([...empty.heads], []);
    const writer = await own(zone);
    await writer.append([batch(zone, 1, 3)]);
    await writer.append([batch(zone, 4, 1)]);
    await reopen();
    const place = await log().placeOf(log().shardOf(zone));
    const head = place.heads.get(zone) ?? 0;
    const next = await own(zone);
    await next.append([batch(zone, 5, 2)]);
    for (const { heads, position } of [empty, place]) {
      const following = new Following(log(), zone, [position]);
      await following.has(`${zone} 6`);
      await following.end();
      const wanted = [1, 2, 3, 4, 5, 6].filter((seq) => seq > (heads.get(zone) ?? 0)).map((seq) => `${zone} ${seq}`);
      assert.deepEqual(following.events.slice(-wanted.length), wanted, `from ${JSON.stringify(position)} with head ${head}`);
    }
  });

  test('begins at the earliest of the positions, and each position of a batch finds all events after it', async () => {
    const writer = await own(zone);
    await Promise.all([1, 3, 5, 7].map((seq) => writer.append([batch(zone, seq, 2)])));
    await writer.append([batch(zone, 9, 1), batch(zone, 10, 1)]);
    const whole = new Following(log(), zone, [null]);
    await whole.has(`${zone} 10`);
    await whole.end();
    const last = whole.batches.at(-1)?.position ?? null;
    for (const { batch: one, position } of whole.batches) {
      const wanted = Array.from({ length: 11 - one.firstSeq }, (_none, index) => one.firstSeq + index);
      assert.deepEqual(await read(zone, one.firstSeq - 1, position), wanted);
      const following = new Following(log(), zone, [last, position]);
      await following.has(`${zone} 10`);
      await following.end();
      assert.deepEqual(
        following.events.slice(-wanted.length),
        wanted.map((seq) => `${zone} ${seq}`),
      );
    }
  });

  test('ends a follower that is aborted while it waits for a shard without events', async () => {
    const following = new Following(log(), zone, [(await log().placeOf(log().shardOf(zone))).position]);
    await new Promise((resolve) => setImmediate(resolve));
    await following.end();
    assert.deepEqual(following.events, []);
  });
}
