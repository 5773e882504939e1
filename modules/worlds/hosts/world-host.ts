import {
  type Player,
  type PlayerId,
  type PlayerIntent,
  REFUSALS,
  WORLD_TICK_MS,
  type WorldCommand,
  type WorldEvent,
  type WorldPlan,
  type ZoneId,
} from '@millrace/contracts';
import {
  type Clock,
  type CommandMeta,
  type EventBatch,
  type HostOptions,
  keyOf,
  kindOf,
  type Reply,
  type ZoneHost,
  zoneAddress,
} from '@millrace/kernel';
import { encodeFrame } from '../gateway/wire.ts';
import type { FromZoneHost, Handle, Question, ToZoneHost } from '../messages.ts';
import { answerQuestion } from '../record/inspect.ts';
import { acceptedNumbers } from '../zone/accepted.ts';
import { packedTiles, zoneAt } from '../zone/terrain.ts';
import { yourselfOf } from '../zone/views.ts';
import { needsPlan, type World } from '../zone/world-state.ts';
import { worldZone } from '../zone/zone.ts';
import { Audience } from './audience.ts';
import { GuestNotices } from './guest-notices.ts';
import { type Guest, OpenZone } from './open-zone.ts';
import { ZoneHandovers } from './zone-handovers.ts';
import { countTick, noCounts, zoneStatsOf } from './zone-stats.ts';

/** Refusals of the kernel as players get them: those that pass when the client retries soon. */
const WIRE_CODES: Readonly<Record<string, string>> = { ZONE_STOPPED: 'ZONE_MOVING', ZONE_FAILED: 'ZONE_MOVING', LOG_UNAVAILABLE: 'BUSY' };

/** Ticks between two updates until the gateway sets the rate: ten updates a second. */
const UPDATE_EVERY_TICKS = 2;
const RETRY_EVERY_MS = 250;
const LOST_SESSIONS_EVERY_MS = 2_000;
const STATS_EVERY_MS = 1_000;

/**
 * Connects the gateway to the zones of a host. Attaches sessions to zones and sends their intents to mailboxes. Sends replies
 * and updates to the gateway, and players from zone to zone. The zones decide.
 */
export class WorldHost {
  readonly #clock: Clock;
  readonly #send: (message: FromZoneHost) => void;
  readonly #plan: WorldPlan;
  readonly #notices: GuestNotices;
  #host: ZoneHost | null = null;
  #updateEveryTicks = UPDATE_EVERY_TICKS;
  readonly #zones = new Map<ZoneId, OpenZone>();
  readonly #guests = new Map<Handle, Guest>();
  readonly #cancels: (() => void)[] = [];

  constructor(parts: { clock: Clock; plan: WorldPlan; send: (message: FromZoneHost) => void }) {
    this.#clock = parts.clock;
    this.#plan = parts.plan;
    this.#send = parts.send;
    this.#notices = new GuestNotices({ send: parts.send, detach: (handle) => this.#detach(handle) });
  }

  /** Observers for the zone host. */
  readonly hooks: Pick<HostOptions, 'onDecided' | 'onDurable' | 'onTick' | 'onRecovered' | 'onSnapshot'> = {
    onDecided: (batch, state) => this.#decided(batch, state as World),
    onDurable: (batch) => this.#recorded(batch as EventBatch<WorldEvent>),
    onTick: ({ zone, ms, lateMs, skippedSteps }) => this.#ticked(keyOf(zone), ms, lateMs, skippedSteps),
    onRecovered: (zone, _steps, lostEvents) => this.#recovered(keyOf(zone), lostEvents),
    onSnapshot: ({ zone, store, time, failure }) => {
      const opened = this.#zones.get(keyOf(zone));
      if (opened && failure === null) opened[store === 'hot' ? 'hotAt' : 'coldAt'] = time;
    },
  };

  /** @param definition zone definition; a simulation passes one that fails at times */
  run(host: ZoneHost, definition = worldZone): void {
    this.#host = host;
    host.register(definition);
    this.#every(RETRY_EVERY_MS, () => {
      for (const opened of this.#zones.values()) this.#retry(opened);
    });
    this.#every(STATS_EVERY_MS, () => this.#report());
  }

  stop(): void {
    for (const cancel of this.#cancels) cancel();
  }

  // Zones

  /** Call it when a zone was opened on this host. */
  opened(address: string): void {
    if (kindOf(address) !== worldZone.kind) return;
    const zone = keyOf(address);
    const opened = this.#openZone(zone);
    this.#zones.set(zone, opened);
    const state = this.#stateOf(zone);
    if (!state) return;
    if (needsPlan(state, this.#plan)) this.#sendCommand(zone, { type: 'CreateZone', plan: this.#plan });
    opened.audience.reset(state);
    this.#reportPlayers(zone);
    opened.handovers.offerAll(state);
  }

  #openZone(zone: ZoneId): OpenZone {
    return new OpenZone({
      zone,
      audience: new Audience(zone, (handles, frame) => this.#send({ type: 'cast', handles, matters: false, frame: encodeFrame(frame) })),
      handovers: new ZoneHandovers({
        clock: this.#clock,
        send: this.#send,
        sendCommand: (command) => this.#sendCommand(zone, command),
        isRecording: () => this.#host?.records(zoneAddress(worldZone.kind, zone)) ?? true,
        state: () => this.#stateOf(zone),
      }),
      ticksUntilUpdate: UPDATE_EVERY_TICKS,
    });
  }

  /** Call it when a zone is not on this host any more. */
  closed(address: string): void {
    const opened = this.#zones.get(keyOf(address));
    if (!opened) return;
    this.#zones.delete(opened.zone);
    this.#releaseGuests(opened);
  }

  /** A zone threw and was rebuilt. If its state lacks events that its guests were sent, they enter again. */
  #recovered(zone: ZoneId, lostEvents: number): void {
    const opened = this.#zones.get(zone);
    const view = this.#host?.view(zoneAddress(worldZone.kind, zone));
    if (!opened || !view) return;
    opened.audience.reset(view.state as World);
    if (lostEvents > 0) this.#releaseGuests(opened);
  }

  /** The gateway brings the guests back, here or to the zone’s next host. */
  #releaseGuests({ zone, guests }: OpenZone): void {
    for (const { handle } of [...guests.values()]) {
      this.#detach(handle);
      this.#send({ type: 'astray', handle, zone });
    }
  }

  #decided(batch: EventBatch, state: World): void {
    if (kindOf(batch.zone) !== worldZone.kind) return;
    const opened = this.#zones.get(keyOf(batch.zone));
    if (!opened) return;
    opened.counts.events += batch.events.length;
    for (const event of batch.events as unknown as WorldEvent[]) {
      opened.audience.apply(event, state);
      opened.handovers.apply(event);
      this.#notices.apply(event, opened, state);
    }
  }

  #recorded(batch: EventBatch<WorldEvent>): void {
    if (kindOf(batch.zone) !== worldZone.kind) return;
    const zone = keyOf(batch.zone);
    const opened = this.#zones.get(zone);
    opened?.handovers.recorded(batch);
    const state = opened && this.#stateOf(zone);
    if (!state) return;
    const players = opened.forgotten(batch.events, state);
    if (players.length > 0) this.#send({ type: 'forgotten', zone, players });
  }

  #ticked(zone: ZoneId, ms: number, lateMs: number, skipped: number): void {
    const opened = this.#zones.get(zone);
    if (!opened) return;
    const startedAt = this.#clock.elapsed();
    if (--opened.ticksUntilUpdate <= 0) {
      opened.ticksUntilUpdate = this.#updateEveryTicks;
      if (opened.audience.size > 0) opened.audience.flush(Math.floor(this.#clock.now() / WORLD_TICK_MS));
    }
    countTick(opened.counts, ms + this.#clock.elapsed() - startedAt, lateMs, skipped);
  }

  #retry(opened: OpenZone): void {
    const { zone } = opened;
    const state = this.#stateOf(zone);
    if (!state) return;
    const now = this.#clock.elapsed();
    // `CreateZone` may have failed when the zone was opened.
    if (needsPlan(state, this.#plan)) return this.#sendCommand(zone, { type: 'CreateZone', plan: this.#plan });
    opened.handovers.retry(state, now);
    for (const [player, counts] of opened.takeViolations()) this.#sendCommand(zone, { type: 'CountViolations', player, counts });
    if (now - opened.checkedAt < LOST_SESSIONS_EVERY_MS) return;
    opened.checkedAt = now;
    if (opened.guests.size > 0) this.#send({ type: 'attached', zone, handles: opened.handles });
    for (const { player, session } of opened.lostSessions(state, now))
      this.#sendCommand(zone, { type: 'LeaveZone', player, session, reason: 'lost' });
  }

  #report(): void {
    const zones = [...this.#zones.values()].map((opened) => {
      const { zone, counts } = opened;
      opened.counts = noCounts();
      return zoneStatsOf(zone, counts, this.#host, opened);
    });
    this.#send({ type: 'stats', zones });
  }

  /** Reports which players a zone has. */
  #reportPlayers(zone: ZoneId): void {
    const opened = this.#zones.get(zone);
    const state = opened && this.#stateOf(zone);
    if (!state) return;
    const between = [...Object.keys(state.departures), ...opened.joining];
    this.#send({ type: 'zone-players', zone, players: Object.keys(state.players), between });
  }

  // The gateway

  /** Takes a message of the gateway. */
  receive(message: ToZoneHost): void {
    switch (message.type) {
      case 'enter':
        return this.#enter(message);
      case 'intent':
        return this.#intent(message.handle, message.zone, message.n, message.intent);
      case 'leave':
        return this.#leave(message);
      case 'ended':
        return this.#ended(message.handles);
      case 'refresh':
        return this.#zones.get(message.zone)?.audience.refresh(message.handle);
      case 'mute':
        return this.#zones.get(message.zone)?.audience.mute(message.handle);
      case 'violations': {
        const opened = this.#zones.get(message.zone);
        for (const [code, count] of Object.entries(message.counts)) opened?.countViolation(message.player, code, count);
        return;
      }
      case 'recount':
        return this.#reportPlayers(message.zone);
      case 'pace':
        this.#updateEveryTicks = message.updateEveryTicks;
        return;
      case 'deliver':
        return this.#deliver(message.zone, message.command, message.meta, message.ask);
      case 'question':
        return this.#answer(message.ask, message.question);
    }
  }

  #enter(message: ToZoneHost & { type: 'enter' }): void {
    const { handle, zone, player, name, session, isNew } = message;
    const before = this.#zones.get(zone);
    before?.beginJoin(player);
    void this.#submit(zone, { type: 'JoinZone', player, name, session, isNew }).then((reply) => {
      before?.endJoin(player);
      const opened = this.#zones.get(zone);
      const state = this.#stateOf(zone);
      const joined = state?.players[player];
      if (!reply.ok) return this.#notEntered(message, reply.code, reply.message);
      // Without its session, the player has left or sleeps again since. A session that still exists enters again.
      if (!opened || joined?.presence.session !== session || !state?.plan) return this.#notEntered(message, 'ZONE_STOPPED', '');
      this.#attach(opened, { handle, player, session, zone });
      this.#sendEntered(handle, zone, state.plan, joined);
    });
  }

  /** A zone has not attached a session: it refused the player, or is not on this host any more. */
  #notEntered({ handle, zone, n }: ToZoneHost & { type: 'enter' }, code: string, detail: string): void {
    const isElsewhere = code === 'PLAYER_NOT_IN_ZONE' || code === 'IN_TRANSIT';
    // A session that played before enters again as soon as the zone admits it.
    if (code === 'ZONE_STOPPED' || code === 'NOT_INITIALIZED' || (n === null && !isElsewhere))
      return this.#send({ type: 'astray', handle, zone });
    if (n !== null && !isElsewhere) this.#refuse(handle, zone, n, code, detail);
    this.#send({ type: 'left', handle, zone, n, code });
  }

  #attach(opened: OpenZone, guest: Guest): void {
    const before = opened.guests.get(guest.player);
    if (before) this.#detach(before.handle);
    this.#guests.set(guest.handle, guest);
    opened.guests.set(guest.player, guest);
    opened.audience.watch(guest.handle, guest.player);
  }

  #sendEntered(handle: Handle, zone: ZoneId, plan: WorldPlan, player: Player): void {
    const { seed, columns, rows } = plan;
    const { id, presence } = player;
    const accepted = acceptedNumbers(presence);
    const frame = encodeFrame({
      t: 'zone',
      zone,
      n: presence.n,
      accepted,
      plan: { seed, columns, rows },
      blocked: packedTiles(plan, zone),
      you: yourselfOf(player),
    });
    this.#send({ type: 'entered', handle, zone, player: id, session: presence.session, frame, accepted });
  }

  #intent(handle: Handle, zone: ZoneId, n: number, intent: PlayerIntent): void {
    const guest = this.#guests.get(handle);
    const opened = this.#zones.get(zone);
    if (!guest || guest.zone !== zone || !opened) return this.#send({ type: 'astray', handle, zone });
    if (intent.type === 'Move' && !this.#mayCross(zone, intent))
      return this.#refuse(handle, zone, n, 'BORDER_CLOSED', REFUSALS.BORDER_CLOSED?.description ?? '');
    void this.#submit(zone, { ...intent, player: guest.player, session: guest.session, n }).then((reply) => {
      if (reply.ok) {
        opened.counts.accepted++;
        return this.#send({ type: 'reply', handle, zone, n, code: null, frame: encodeFrame({ t: 'ok', n }) });
      }
      opened.counts.refused++;
      if (REFUSALS[reply.code]?.violation) opened.countViolation(guest.player, reply.code, 1);
      this.#refuse(handle, zone, n, reply.code, reply.message);
    });
  }

  /** A player that departs while the log is unavailable would be in no zone until it is available; it stays on this side. */
  #mayCross(zone: ZoneId, to: { x: number; y: number }): boolean {
    return this.#host?.records(zoneAddress(worldZone.kind, zone)) === true || zoneAt(to) === zone;
  }

  #leave({ handle, zone, player, session, reason, n }: ToZoneHost & { type: 'leave' }): void {
    this.#detach(handle);
    void this.#submit(zone, { type: 'LeaveZone', player, session, reason }).then((reply) => {
      // The player has not left. The gateway locates it and reports to the client that the command had no effect.
      if (!reply.ok) return this.#send({ type: 'astray', handle, zone });
      if (n === null) return;
      this.#send({ type: 'reply', handle, zone, n, code: null, frame: encodeFrame({ t: 'ok', n }) });
      this.#send({ type: 'left', handle, zone, n, code: null });
    });
  }

  #ended(handles: readonly Handle[]): void {
    const guests = handles.flatMap((handle) => this.#guests.get(handle) ?? []);
    for (const guest of guests) this.#leave({ type: 'leave', ...guest, reason: 'lost', n: null });
  }

  /** A command of another zone or an operator. The reply is durable, because its effect must outlive a crash. */
  #deliver(zone: ZoneId, command: WorldCommand, meta: CommandMeta, ask: number | null): void {
    if (!this.#host) return;
    void this.#host.submit(zoneAddress(worldZone.kind, zone), command, { ...meta, durable: true }).then((reply) => {
      if (ask !== null) this.#send({ type: 'answer', ask, answer: reply });
      if (command.type !== 'AdmitPlayer' || !reply.ok) return;
      const { from, to, number, player } = command.handover;
      this.#send({ type: 'arrived', zone, player: player.id, session: player.presence.session });
      const confirm: WorldCommand = { type: 'ConfirmHandover', player: player.id, to, number };
      this.#send({ type: 'deliver', zone: from, command: confirm, meta: {} });
    });
  }

  #answer(ask: number, question: Question): void {
    if (!this.#host) return;
    const isJoining = (player: PlayerId) => this.#zones.get(question.zone)?.isJoining(player) === true;
    void answerQuestion(question, this.#host, isJoining).then((reply) => this.#send({ type: 'answer', ask, answer: reply }));
  }

  #detach(handle: Handle): void {
    const guest = this.#guests.get(handle);
    if (!guest) return;
    this.#guests.delete(handle);
    const opened = this.#zones.get(guest.zone);
    if (opened?.guests.get(guest.player) === guest) opened.guests.delete(guest.player);
    opened?.audience.leave(handle);
  }

  #refuse(handle: Handle, zone: ZoneId, n: number, refusal: string, message: string): void {
    const code = WIRE_CODES[refusal] ?? refusal;
    const guest = this.#guests.get(handle);
    const place = guest && this.#stateOf(zone)?.players[guest.player]?.position;
    const frame = encodeFrame({ t: 'refused', n, code, message, ...(place && { x: place.x, y: place.y }) });
    this.#send({ type: 'reply', handle, zone, n, code, frame });
  }

  #submit(zone: ZoneId, command: WorldCommand): Promise<Reply> {
    if (!this.#host) throw new Error('the world’s host does not run yet');
    return this.#host.submit(zoneAddress(worldZone.kind, zone), command);
  }

  #sendCommand(zone: ZoneId, command: WorldCommand): void {
    this.#host?.send(zoneAddress(worldZone.kind, zone), command);
  }

  #stateOf(zone: ZoneId): World | undefined {
    return this.#host?.view(zoneAddress(worldZone.kind, zone))?.state as World | undefined;
  }

  #every(ms: number, work: () => void): void {
    const slot = this.#cancels.length;
    const again = () => {
      this.#cancels[slot] = this.#clock.after(ms, () => {
        work();
        again();
      });
    };
    again();
  }
}
