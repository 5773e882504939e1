import type { Mutant } from '../mutants.ts';

const LOST = /was answered with event|is in the log twice|follows event|but the batch starts at/;
const OTHER = /has read something else/;
const IDLE = /no command was answered/;
const either = (...checks: RegExp[]) => new RegExp(checks.map(({ source }) => source).join('|'));

/** The steps of the protocol of a shard (docs/adr/0010-the-log-decides-who-owns-a-shard.md), each left out or wrong. */
export const SHARD_MUTANTS: Readonly<Record<string, Mutant>> = {
  'reader rule: every claim counts': {
    file: 'platform/kafka/reader-rule.ts',
    from: 'return record.previous === epoch && record.epoch > epoch;',
    to: 'return true;',
    violates: either(LOST, OTHER),
    seed: 1,
  },
  'reader rule: data of every owner counts': {
    file: 'platform/kafka/reader-rule.ts',
    from: 'return record.nonce === nonce && record.index === index;',
    to: 'return record.index === index;',
    violates: either(LOST, OTHER, IDLE),
    seed: 1,
  },
  'reader rule: repeats count': {
    file: 'platform/kafka/reader-rule.ts',
    from: 'return record.nonce === nonce && record.index === index;',
    to: 'return record.nonce === nonce;',
    violates: either(LOST, OTHER),
    seed: 2,
  },
  'step 1: the shard is not read before the claim': {
    file: 'platform/kafka/shard-writer.ts',
    from: '    await tail.readToEnd();\n    const producer',
    to: '    const producer',
    violates: IDLE,
    seed: 1,
  },
  'step 2: no new producer epoch': {
    file: 'platform/kafka/shard-writer.ts',
    from: 'const producer = await retried(parts, () => broker.initProducer(shard));',
    to: 'const producer = { id: 1n, epoch: 0 };',
    violates: IDLE,
    seed: 1,
  },
  'step 3: no claim': {
    file: 'platform/kafka/shard-writer.ts',
    from: "encodeRecord({ kind: 'claim', epoch, previous, nonce })",
    to: "encodeRecord({ kind: 'head', epoch, nonce, index: 0 })",
    violates: IDLE,
    seed: 1,
  },
  'step 4: the log is not read up to the claim': {
    file: 'platform/kafka/shard-writer.ts',
    from: '    else await tail.readTo(offset + 1);\n    if (tail.cursor.nonce !== nonce) throw',
    to: "    tail.passed([{ kind: 'claim', epoch, previous, nonce }]);\n    if (tail.cursor.nonce !== nonce) throw",
    violates: either(LOST, IDLE),
    seed: 1,
  },
  'step 4: an invalid claim is taken for a valid one': {
    file: 'platform/kafka/shard-writer.ts',
    from: "    if (tail.cursor.nonce !== nonce) throw new ClaimLost(shard, 'another claim came first');\n",
    to: '',
    violates: LOST,
    seed: 1,
  },
  'step 5: what is sent again is not what was sent': {
    file: 'platform/kafka/shard-writer.ts',
    from: '      entry.offset = null;\n      await this.#send(entry);',
    to: `      entry.offset = null;
      const again = (part: ShardRecord) =>
        part.kind === 'data' ? { ...part, batch: { ...part.batch, events: [{ type: 'Counted', command: 'another' }] } } : part;
      Object.assign(entry, { records: entry.parts.map((part) => encodeRecord(again(part) as ShardRecord)) });
      await this.#send(entry);`,
    violates: LOST,
    seed: 1,
  },
  'step 6: a confirmation counts at every offset': {
    file: 'platform/kafka/shard-writer.ts',
    from: 'entry && entry.offset === this.#parts.tail.cursor.offset;',
    to: 'entry && entry.offset !== null;',
    violates: LOST,
    seed: 1,
  },
  'step 7: what was sent counts as written': {
    file: 'platform/kafka/shard-writer.ts',
    from: '      entry.isFailed = true;\n',
    to: '      entry.offset = this.#parts.tail.cursor.offset;\n',
    violates: LOST,
    seed: 1,
  },
  'step 7: batches behind a foreign claim count as written': {
    file: 'platform/kafka/shard-writer.ts',
    from: '    if (tail.cursor.nonce !== nonce) return;\n',
    to: '',
    violates: LOST,
    seed: 1,
  },
};
