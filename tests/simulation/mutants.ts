import type { FaultName } from './faults.ts';

/**
 * Planted bugs, each a change of one place in the source, which the simulation must find. Each must be reported by the check that it violates: any other
 * failure, such as a crash at the start, does not count.
 */
export interface Mutant {
  readonly file: string;
  readonly from: string;
  readonly to: string;
  /** Message of the violated check. */
  readonly violates: RegExp;
  /** A seed that shows it. */
  readonly seed: number;
  /** Faults that reveal it; default all. */
  readonly faults?: readonly FaultName[];
}

const REPLAY = /replayed to event|the live zone is at|cannot be replayed/;
const TABLE = /of the table is|the table is at|the table never got/;
const CONFIRMED = /was confirmed at/;
const TWICE = /happened twice|happened \d+ times|is in \d+ places/;
const WHEREABOUTS = /is in no zone|is still on the way/;
const UNAVAILABLE = /is open nowhere|had no command accepted/;
const RECORD = /after event \d+ the log has|wrote after epoch|was written by/;
const PAST = /was told of|was told a state/;
const ANSWERS = /was never answered|was answered twice|is not on record|and is on record|was LOST/;
const BELIEFS = /believes that|’s client, frame| sees /;
const either = (...checks: RegExp[]) => new RegExp(checks.map(({ source }) => source).join('|'));

export const MUTANTS: Readonly<Record<string, Mutant>> = {
  'the offset is stored before what was read is written': {
    file: 'platform/log/consumer.ts',
    from: '    let left = found;\n',
    to: '    let left = found;\n    await this.#projection.apply([], read).catch(() => {});\n',
    violates: TABLE,
    seed: 1,
    faults: ['reader-crash', 'database-slow'],
  },
  'a store that has lost its newest writes is believed to have them': {
    file: 'platform/log/group-positions.ts',
    from: '      const believed = this.#stored[partition] ?? 0;\n',
    to: '      const believed = next;\n',
    violates: TABLE,
    seed: 1,
    faults: ['database-loses'],
  },
  'a torn record is taken for a whole one': {
    file: 'platform/log/spool.ts',
    from: 'return body !== null && crc32(body) === content.readUInt32BE(at + CRC_AT);',
    to: 'return body !== null;',
    violates: either(UNAVAILABLE, REPLAY, RECORD, TWICE),
    seed: 22,
    faults: ['host-crash', 'log-unavailable'],
  },
  'the newest command of a session may be repeated': {
    file: 'modules/worlds/zone/player-intents.ts',
    from: 'if (n <= presence.n) return',
    to: 'if (n < presence.n) return',
    violates: TWICE,
    seed: 1,
  },
  'a zone that failed is not retried': {
    file: 'kernel/lifecycle.ts',
    from: ', () => this.#parts.options.clock.after(ms, () => void this.bringUp(entry).catch(ignored)));',
    to: ');',
    violates: UNAVAILABLE,
    seed: 1,
    faults: ['zone-throws', 'log-unavailable'],
  },
  'a zone that failed goes on with its half-changed state': {
    file: 'kernel/lifecycle.ts',
    from: '    else void this.bringUp(entry).catch(ignored);\n',
    to: '',
    violates: either(REPLAY, TWICE, WHEREABOUTS),
    seed: 1,
    faults: ['zone-throws'],
  },
  'of a turn only the first batch is recorded': {
    file: 'kernel/turns.ts',
    from: '      else if (batch) decided.set(outbox, [batch]);\n',
    to: '      else if (batch && decided.size === 0) decided.set(outbox, [batch]);\n',
    violates: either(UNAVAILABLE, REPLAY, TABLE, CONFIRMED, RECORD),
    seed: 27,
    faults: ['host-busy'],
  },
  'a durable command is answered when it is decided': {
    file: 'kernel/host.ts',
    from: 'if (reply.seq === undefined) settle(reply);',
    to: 'if (Math.random() < 2) settle(reply);',
    violates: either(CONFIRMED, TWICE),
    seed: 1,
  },
  'lost events are forgotten': {
    file: 'kernel/outbox.ts',
    from: '    this.#losses.add(zone, firstSeq, seq);\n',
    to: '',
    violates: either(UNAVAILABLE, RECORD, REPLAY, TABLE),
    seed: 1,
  },
  'commands whose events are lost are still confirmed': {
    file: 'kernel/zone.ts',
    from: '    this.#replies.lose(firstSeq);\n',
    to: '',
    violates: CONFIRMED,
    seed: 4,
    faults: ['log-unavailable', 'log-hung', 'disk-full', 'disk-error'],
  },
  'what an earlier owner has left is not read by the next': {
    file: 'platform/log/spools.ts',
    from: '    const before = this.#leftBy(shard, predecessor);\n',
    to: '    const before = predecessor === owner ? this.#leftBy(shard, predecessor) : null;\n',
    violates: either(RECORD, REPLAY, UNAVAILABLE, CONFIRMED, TABLE, TWICE, ANSWERS),
    seed: 8,
  },
  'a snapshot is stored before the log has its events': {
    file: 'kernel/snapshots.ts',
    from: 'store.save(zone.snapshot(time), this.#recorded(entry))',
    to: 'store.save(zone.snapshot(time), Math.random() > 2 ? this.#recorded(entry) : undefined)',
    violates: either(RECORD, REPLAY, UNAVAILABLE, CONFIRMED, TABLE, TWICE),
    seed: 6,
  },
  'what the log has of an append with an unknown outcome is sent again': {
    file: 'kernel/batch.ts',
    from: 'const rest = after(batch, head);',
    to: 'const rest = batch;',
    violates: either(RECORD, REPLAY, UNAVAILABLE, CONFIRMED, TABLE, TWICE),
    seed: 4,
  },
  'the seqs of lost events are used again': {
    file: 'kernel/lifecycle.ts',
    from: 'Math.max(replay.seq, shard.outbox.lostUpTo(address) ?? 0)',
    to: 'replay.seq',
    violates: either(RECORD, REPLAY, UNAVAILABLE, CONFIRMED, TABLE, TWICE, ANSWERS, BELIEFS),
    seed: 10,
    faults: ['log-unavailable', 'disk-full', 'disk-error', 'disk-read-only', 'zone-throws'],
  },
  'an item that is taken stays on the ground': {
    file: 'modules/worlds/zone/evolve-world.ts',
    from: '  delete state.items[event.item];\n',
    to: '',
    violates: TWICE,
    seed: 1,
  },
  'answers are not remembered': {
    file: 'kernel/zone.ts',
    from: '    this.#replies.note(meta, noted, now);\n',
    to: '',
    violates: TWICE,
    seed: 4,
  },
  'answers are not recovered': {
    file: 'kernel/state-replay.ts',
    from: '      if (meta) this.#replies.note(meta,',
    to: '      if (Math.random() > 2) this.#replies.note(meta as never,',
    violates: TWICE,
    seed: 2,
  },
  'a handover is confirmed before the arrival is recorded': {
    file: 'modules/worlds/hosts/world-host.ts',
    from: '{ ...meta, durable: true }',
    to: '{ ...meta }',
    violates: either(WHEREABOUTS, TWICE, CONFIRMED),
    seed: 1,
  },
  'a handover that got no answer is not sent again': {
    file: 'modules/worlds/hosts/zone-handovers.ts',
    from: '      if (now - offer.at > RETRY_MS) this.#offer(handover);\n',
    to: '',
    violates: either(WHEREABOUTS, UNAVAILABLE),
    seed: 2,
    faults: ['network-bad', 'network-cut'],
  },
  'a reader that was overtaken goes on in silence': {
    file: 'platform/log/consumer.ts',
    from: '      await this.#dropped(error);\n',
    to: '      this.#positions.offsets[partition] = error.start;\n',
    violates: TABLE,
    seed: 1,
    faults: ['log-retention', 'reader-crash', 'database-unavailable'],
  },
  'another connection of a newcomer is sent to another zone': {
    file: 'modules/worlds/gateway/player-placement.ts',
    from: '    this.#directory.sent(session.player, zone);\n',
    to: '',
    violates: TWICE,
    seed: 4,
    faults: ['two-connections', 'network-bad'],
  },
  // Fault 43.
  'a zone is restored to what it was before its record': {
    file: 'modules/worlds/record/past.ts',
    from: 'if (state.plan === null) throw',
    to: 'if (replay.seq < 0) throw',
    violates: PAST,
    seed: 1,
    faults: ['operator-restore'],
  },
  // Fault 44.
  'a gap in the log is not noticed behind the moment that was asked for': {
    file: 'kernel/recovery.ts',
    from: 'if (recovered.isFollowed) return replay.requireFollowedBy(batch);',
    to: 'if (recovered.isFollowed) return;',
    violates: PAST,
    seed: 1,
    faults: ['past-question', 'log-retention'],
  },
  'a snapshot is told as the moment after it': {
    file: 'modules/worlds/record/past.ts',
    from: "const isThere = 'seq' in point ? replay.seq === point.seq : ",
    to: "const isThere = 'seq' in point ? replay.seq <= point.seq : ",
    violates: PAST,
    seed: 6,
    faults: ['past-question', 'log-retention'],
  },
  // Fault 45.
  'a restore brings back what other zones have': {
    file: 'modules/worlds/zone/restore.ts',
    from: 'const taken = new Set(elsewhere);',
    to: 'const taken = new Set<string>();',
    violates: TWICE,
    seed: 3,
    faults: ['operator-restore'],
  },
  'a dry run of a restore changes the zone': {
    file: 'modules/worlds/record/restore-zone.ts',
    from: '    if (dryRun) return { ok: true, dryRun, restoredSeq, hash, changes };\n',
    to: '',
    violates: /changed it, at/,
    seed: 1,
    faults: ['operator-restore'],
  },
  'who is recalled from a crossing is not shown': {
    file: 'modules/worlds/hosts/audience.ts',
    from: "      case 'PlayerRecalled': {\n",
    to: '      {\n',
    violates: BELIEFS,
    seed: 19,
    faults: ['log-hung', 'log-slow'],
  },
  'of an answer that is lost with its connection nothing is known': {
    file: 'modules/worlds/gateway/session.ts',
    from: '        this.#pending.set(n, now);\n        this.#reported.add(n);\n',
    to: '',
    violates: either(ANSWERS, UNAVAILABLE),
    seed: 6,
    faults: ['connection-drop'],
  },
};
