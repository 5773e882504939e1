/**
 * Bugs planted on purpose, each a change of one place in the source: what the simulation is worth is whether it notices.
 */
export const MUTANTS = {
  'the offset is stored before what was read is written': {
    file: 'platform/log/consumer.ts',
    from: '    let left = found;\n',
    to: '    let left = found;\n    await this.#projection.apply([], read).catch(() => {});\n',
  },
  'the epoch of a writer is not checked': {
    file: 'kernel/batch.ts',
    from: "  if (writerOf(batch) < head.epoch) return 'stale';\n",
    to: '',
  },
  'a torn record is taken for a whole one': {
    file: 'platform/log/spool.ts',
    from: 'if (length === 0 || body.length < length || crc32(body) !== content.readUInt32BE(at + 4)) break;',
    to: 'if (length === 0) break;',
  },
  'the newest command of a session may be repeated': {
    file: 'modules/worlds/zone.ts',
    from: 'if (n <= presence.n) return',
    to: 'if (n < presence.n) return',
  },
  'the spool is drained out of order': {
    file: 'kernel/outbox.ts',
    from: 'this.#options.spool.oldest(SPOOLED_EVENTS_MAX);',
    to: 'this.#options.spool.oldest(SPOOLED_EVENTS_MAX).reverse();',
  },
} as const;
export type Mutant = keyof typeof MUTANTS;
