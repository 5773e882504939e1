/**
 * Bugs planted on purpose, each a change of one place in the source: what the simulation is worth is whether it notices.
 */
export const MUTANTS = {
  'the offset is stored before what was read is written': {
    file: 'platform/log/consumer.ts',
    from: '    let left = read;\n',
    to: '    let left = read;\n    await this.#projection.apply([], { partition, next });\n',
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
    from: 'command.n <= player.presence.n',
    to: 'command.n < player.presence.n',
  },
  'the spool is drained out of order': {
    file: 'kernel/outbox.ts',
    from: 'this.#options.spool.oldest(GROUP_EVENTS_MAX);',
    to: 'this.#options.spool.oldest(GROUP_EVENTS_MAX).reverse();',
  },
  'a new owner takes an older branch from its own spool for its own': {
    file: 'kernel/host.ts',
    from: 'newest < recovered.epoch ? [] : left.filter((batch) => writerOf(batch) === newest)',
    to: 'left',
  },
  'a census passes over who is on the way': {
    file: 'modules/worlds/world-host.ts',
    from: 'departing: Object.keys(state.departures)',
    to: 'departing: []',
  },
} as const;
export type Mutant = keyof typeof MUTANTS;
