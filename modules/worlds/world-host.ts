import {
  type Handover,
  type PlayerId,
  type PlayerIntent,
  REFUSALS,
  type ServerFrame,
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
import { acceptedNumbers } from './accepted.ts';
import { Audience } from './audience.ts';
import { answerQuestion } from './inspect.ts';
import type { FromZoneHost, Handle, ToZoneHost, ZoneStats } from './messages.ts';
import { packedTiles, zoneAt } from './terrain.ts';
import { yourselfOf } from './views.ts';
import { encodeFrame } from './wire.ts';
import { type World, worldZone } from './zone.ts';

/** Until the gateway says otherwise, watchers are told every so many ticks what has changed: ten times a second. */
const UPDATE_EVERY_TICKS = 2;
/** A player whose session nobody attends is put to sleep after this long: its gateway is gone as well. */
const LOST_MS = 45_000;
/** How long a handover may stay unanswered before it is sent again. */
const HANDOVER_RETRY_MS = 500;
const CARE_MS = 250;
const LOOK_MS = 2_000;
const STATS_MS = 1_000;

interface Guest {
  readonly handle: Handle;
  readonly player: PlayerId;
  readonly session: string;
  readonly zone: ZoneId;
}

/** What a host keeps of one open zone beside its state. */
interface Stage {
  readonly zone: ZoneId;
  readonly audience: Audience;
  /** The session that plays each player; at most one. */
  readonly guests: Map<PlayerId, Guest>;
  /** Players whose `JoinZone` is not decided yet, and how many there are of each. */
  readonly joining: Map<PlayerId, number>;
  ticksUntilUpdate: number;
  violations: Map<PlayerId, Record<string, number>>;
  /** Awake players that nobody attends, since when. */
  unattended: Map<PlayerId, number>;
  /** Handovers sent by this host, and when. One that is not here was never sent. */
  handedOver: Map<PlayerId, { number: number; at: number }>;
  departedAt: Map<PlayerId, number>;
  /** Handovers that are being taken back: they must not be sent any more. */
  recalled: Map<PlayerId, number>;
  counts: Counts;
  /** Under which epoch the zone decides. */
  epoch: number;
  /** When unattended players were looked for. */
  lookedAt: number;
  hotAt: number;
  coldAt: number;
}

interface Counts {
  ticks: number;
  tickMs: number;
  tickMsMax: number;
  lateMsMax: number;
  skippedTicks: number;
  accepted: number;
  refused: number;
  events: number;
}

const noCounts = (): Counts => ({ ticks: 0, tickMs: 0, tickMsMax: 0, lateMsMax: 0, skippedTicks: 0, accepted: 0, refused: 0, events: 0 });

/**
 * The world’s side of a zone host: brings sessions into zones, their intents into mailboxes, answers and updates back to
 * the gateway, and players from zone to zone. What is decided is the zones’ business.
 */
export class WorldHost {
  readonly #clock: Clock;
  readonly #send: (message: FromZoneHost) => void;
  readonly #plan: WorldPlan;
  #host: ZoneHost | null = null;
  #updateEveryTicks = UPDATE_EVERY_TICKS;
  readonly #stages = new Map<ZoneId, Stage>();
  readonly #guests = new Map<Handle, Guest>();
  readonly #cancels: (() => void)[] = [];

  constructor(parts: { clock: Clock; plan: WorldPlan; send: (message: FromZoneHost) => void }) {
    this.#clock = parts.clock;
    this.#plan = parts.plan;
    this.#send = parts.send;
  }

  /** What the zone host must call back. */
  readonly hooks: Pick<HostOptions, 'onDecided' | 'onDurable' | 'onTick' | 'onRecovered' | 'onSnapshot'> = {
    onDecided: (batch, state) => this.#decided(batch, state as World),
    onDurable: (batch) => this.#durable(batch as EventBatch<WorldEvent>),
    onTick: ({ zone, ms, lateMs, skippedSteps }) => this.#ticked(keyOf(zone), ms, lateMs, skippedSteps),
    onRecovered: (zone) => this.#recovered(keyOf(zone)),
    onSnapshot: ({ zone, store, time, failure }) => {
      const stage = this.#stages.get(keyOf(zone));
      if (stage && failure === null) stage[store === 'hot' ? 'hotAt' : 'coldAt'] = time;
    },
  };

  /** @param definition in a simulation, one that fails now and then */
  run(host: ZoneHost, definition = worldZone): void {
    this.#host = host;
    host.register(definition);
    this.#every(CARE_MS, () => {
      for (const stage of this.#stages.values()) this.#care(stage);
    });
    this.#every(STATS_MS, () => this.#report());
  }

  stop(): void {
    for (const cancel of this.#cancels) cancel();
  }

  /** A zone was opened on this host. */
  opened(address: string): void {
    if (kindOf(address) !== worldZone.kind) return;
    const zone = keyOf(address);
    const stage: Stage = {
      zone,
      audience: new Audience(zone, (handles, frame) => this.#cast(handles, frame, false)),
      guests: new Map(),
      joining: new Map(),
      ticksUntilUpdate: UPDATE_EVERY_TICKS,
      violations: new Map(),
      unattended: new Map(),
      handedOver: new Map(),
      departedAt: new Map(),
      recalled: new Map(),
      counts: noCounts(),
      epoch: this.#host?.view(address)?.epoch ?? 0,
      lookedAt: 0,
      hotAt: 0,
      coldAt: 0,
    };
    this.#stages.set(zone, stage);
    const state = this.#stateOf(zone);
    if (!state) return;
    if (state.plan === null) this.#sendCommand(zone, { type: 'CreateZone', plan: this.#plan });
    stage.audience.reset(state);
    this.#count(zone);
    // What an earlier owner may or may not have sent is sent again; the other side knows repeats.
    for (const handover of Object.values(state.departures)) this.#handOver(stage, handover);
  }

  /** A zone is not on this host any more. */
  closed(address: string): void {
    const zone = keyOf(address);
    const stage = this.#stages.get(zone);
    if (!stage) return;
    this.#stages.delete(zone);
    this.#releaseGuests(stage);
  }

  /** A zone threw, and is what its record says again. Under another epoch that is less than what its guests were told: they are told anew. */
  #recovered(zone: ZoneId): void {
    const stage = this.#stages.get(zone);
    const view = this.#host?.view(zoneAddress(worldZone.kind, zone));
    if (!stage || !view) return;
    stage.audience.reset(view.state as World);
    if (view.epoch === stage.epoch) return;
    stage.epoch = view.epoch;
    this.#releaseGuests(stage);
  }

  /** The gateway brings the guests back, here or where the zone is by then. */
  #releaseGuests({ zone, guests }: Stage): void {
    for (const { handle } of [...guests.values()]) {
      this.#forget(handle);
      this.#send({ type: 'astray', handle, zone });
    }
  }

  receive(message: ToZoneHost): void {
    switch (message.type) {
      case 'enter':
        return this.#enter(message);
      case 'intent':
        return this.#intent(message.handle, message.zone, message.n, message.intent);
      case 'leave':
        return this.#leave(message);
      case 'refresh':
        return this.#stages.get(message.zone)?.audience.refresh(message.handle);
      case 'mute':
        return this.#stages.get(message.zone)?.audience.mute(message.handle);
      case 'violations': {
        const stage = this.#stages.get(message.zone);
        if (stage) for (const [code, count] of Object.entries(message.counts)) countViolation(stage, message.player, code, count);
        return;
      }
      case 'recount':
        return this.#count(message.zone);
      case 'pace':
        this.#updateEveryTicks = message.updateEveryTicks;
        return;
      case 'deliver':
        return this.#deliver(message.zone, message.command, message.meta, message.ask);
      case 'question': {
        const { ask, question } = message;
        const isJoining = (player: PlayerId) => this.#stages.get(question.zone)?.joining.has(player) === true;
        if (this.#host) void answerQuestion(question, this.#host, isJoining).then((answer) => this.#send({ type: 'answer', ask, answer }));
        return;
      }
    }
  }

  /** Says whom a zone knows. */
  #count(zone: ZoneId): void {
    const state = this.#stages.has(zone) ? this.#stateOf(zone) : undefined;
    if (!state) return;
    const joining = this.#stages.get(zone)?.joining.keys() ?? [];
    this.#send({
      type: 'zone-players',
      zone,
      players: Object.keys(state.players),
      between: [...Object.keys(state.departures), ...joining],
    });
  }

  #enter({ handle, zone, player, name, session, n, isNew }: ToZoneHost & { type: 'enter' }): void {
    const joining = this.#stages.get(zone)?.joining;
    joining?.set(player, (joining.get(player) ?? 0) + 1);
    void this.#submit(zone, { type: 'JoinZone', player, name, session, isNew }).then((reply) => {
      const left = (joining?.get(player) ?? 1) - 1;
      if (left > 0) joining?.set(player, left);
      else joining?.delete(player);
      const stage = this.#stages.get(zone);
      const state = this.#stateOf(zone);
      const joined = state?.players[player];
      if (!reply.ok || !stage || !joined || !state.plan) {
        const code = reply.ok ? 'ZONE_STOPPED' : reply.code;
        const isElsewhere = code === 'PLAYER_NOT_IN_ZONE' || code === 'IN_TRANSIT';
        // One that plays already comes back as soon as it can be let in.
        if (code === 'ZONE_STOPPED' || code === 'NOT_INITIALIZED' || (n === null && !isElsewhere))
          return this.#send({ type: 'astray', handle, zone });
        if (n !== null && !reply.ok && !isElsewhere) this.#refuse(handle, zone, n, reply.code, reply.message);
        return this.#send({ type: 'left', handle, zone, n, code });
      }
      const before = stage.guests.get(player);
      if (before) this.#forget(before.handle);
      const guest = { handle, player, session, zone };
      this.#guests.set(handle, guest);
      stage.guests.set(player, guest);
      stage.audience.watch(handle, player);
      const { seed, columns, rows } = state.plan;
      const accepted = acceptedNumbers(joined.presence);
      const frame = encodeFrame({
        t: 'zone',
        zone,
        n: joined.presence.n,
        accepted,
        plan: { seed, columns, rows },
        blocked: packedTiles(state.plan, zone),
        you: yourselfOf(joined),
      });
      this.#send({ type: 'entered', handle, zone, player, frame, accepted });
    });
  }

  #intent(handle: Handle, zone: ZoneId, n: number, intent: PlayerIntent): void {
    const guest = this.#guests.get(handle);
    const stage = this.#stages.get(zone);
    if (!guest || guest.zone !== zone || !stage) return this.#send({ type: 'astray', handle, zone });
    if (intent.type === 'Move' && !this.#mayCross(zone, intent))
      return this.#refuse(handle, zone, n, 'BORDER_CLOSED', REFUSALS.BORDER_CLOSED?.says ?? '');
    void this.#submit(zone, { ...intent, player: guest.player, session: guest.session, n }).then((reply) => {
      if (reply.ok) {
        stage.counts.accepted++;
        return this.#send({ type: 'reply', handle, zone, n, code: null, frame: encodeFrame({ t: 'ok', n }) });
      }
      stage.counts.refused++;
      if (REFUSALS[reply.code]?.violation) countViolation(stage, guest.player, reply.code, 1);
      this.#refuse(handle, zone, n, reply.code, reply.message);
    });
  }

  /** A player that leaves while nothing can be recorded would be nowhere until it can; it stays on this side. */
  #mayCross(zone: ZoneId, to: { x: number; y: number }): boolean {
    return this.#host?.isRecording === true || zoneAt(to) === zone;
  }

  #leave({ handle, zone, player, session, reason, n }: ToZoneHost & { type: 'leave' }): void {
    this.#forget(handle);
    void this.#submit(zone, { type: 'LeaveZone', player, session, reason }).then((reply) => {
      // It has not left: the gateway finds out where it is, and tells its client that the command had no effect.
      if (!reply.ok) return this.#send({ type: 'astray', handle, zone });
      if (n === null) return;
      this.#send({ type: 'reply', handle, zone, n, code: null, frame: encodeFrame({ t: 'ok', n }) });
      this.#send({ type: 'left', handle, zone, n, code: null });
    });
  }

  /** A command from another zone or from an operator. What must outlive a crash is answered once it is recorded. */
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

  #handOver(stage: Stage, handover: Handover): void {
    const { to, number, player } = handover;
    stage.handedOver.set(player.id, { number, at: this.#clock.elapsed() });
    this.#send({ type: 'deliver', zone: to, command: { type: 'AdmitPlayer', handover }, meta: {} });
  }

  #decided(batch: EventBatch, state: World): void {
    if (kindOf(batch.zone) !== worldZone.kind) return;
    const stage = this.#stages.get(keyOf(batch.zone));
    if (!stage) return;
    stage.counts.events += batch.events.length;
    for (const event of batch.events as unknown as WorldEvent[]) {
      stage.audience.apply(event, state);
      this.#sendToGuests(event, stage, state);
    }
  }

  /** What concerns sessions beyond what is seen. */
  #sendToGuests(event: WorldEvent, stage: Stage, state: World): void {
    switch (event.type) {
      case 'PlayerSaid': {
        const name = state.players[event.player]?.name ?? event.player;
        return this.#notice(stage.audience.handles, 'said', name, event.text, event.at);
      }
      case 'Announced':
        return this.#notice(stage.audience.handles, 'announced', null, event.text, event.at);
      case 'PlayerDied':
      case 'PlayerRevived':
        this.#notice(this.#handlesOf(stage, event.player), event.type === 'PlayerDied' ? 'died' : 'revived', null, null, event.at);
        return this.#sendSelf(stage, event.player, state);
      case 'ItemPickedUp':
      case 'ItemUsed':
      case 'PlayerEdited':
        return this.#sendSelf(stage, event.player, state);
      case 'ZoneRestored':
        stage.audience.reset(state);
        for (const player of stage.guests.keys()) this.#sendSelf(stage, player, state);
        return;
      case 'PlayerDeparted':
        stage.departedAt.set(event.handover.player.id, this.#clock.elapsed());
        for (const handle of this.#handlesOf(stage, event.handover.player.id)) {
          this.#forget(handle);
          this.#send({ type: 'left', handle, zone: stage.zone, n: null, code: 'IN_TRANSIT' });
        }
        return;
      case 'PlayerRecalled': {
        stage.recalled.delete(event.player);
        stage.departedAt.delete(event.player);
        const player = state.players[event.player];
        if (player) this.#send({ type: 'arrived', zone: stage.zone, player: player.id, session: player.presence.session });
        return;
      }
      case 'HandoverConfirmed':
        stage.handedOver.delete(event.player);
        stage.departedAt.delete(event.player);
        return;
      case 'PlayerKicked':
        for (const handle of this.#handlesOf(stage, event.player)) this.#forget(handle);
        return this.#send({ type: 'kicked', zone: stage.zone, player: event.player, reason: event.reason });
      case 'PlayerWoke': {
        // Another session plays this player now; the one before has nothing to watch.
        const before = stage.guests.get(event.player);
        if (before && before.session !== event.session) this.#forget(before.handle);
        return;
      }
    }
  }

  /** A crash can undo a departure until the log has it; only then the other side may hear of it. */
  #durable(batch: EventBatch<WorldEvent>): void {
    if (kindOf(batch.zone) !== worldZone.kind) return;
    const stage = this.#stages.get(keyOf(batch.zone));
    if (!stage) return;
    for (const event of batch.events)
      if (event.type === 'PlayerDeparted' && this.#isDeparted(event.handover)) this.#handOver(stage, event.handover);
    // Where events were lost, the state after them is on record; so is who had left by then.
    const lost = batch.loss?.checkpoint.state as World | undefined;
    for (const handover of Object.values(lost?.departures ?? {})) if (this.#isDeparted(handover)) this.#handOver(stage, handover);
  }

  #isDeparted({ from, player, number }: Handover): boolean {
    const isRecalled = this.#stages.get(from)?.recalled.get(player.id) === number;
    return !isRecalled && this.#stateOf(from)?.departures[player.id]?.number === number;
  }

  #ticked(zone: ZoneId, ms: number, lateMs: number, skipped: number): void {
    const stage = this.#stages.get(zone);
    if (!stage) return;
    const { counts } = stage;
    const started = this.#clock.elapsed();
    if (--stage.ticksUntilUpdate <= 0) {
      stage.ticksUntilUpdate = this.#updateEveryTicks;
      if (stage.audience.size > 0) stage.audience.flush(Math.floor(this.#clock.now() / WORLD_TICK_MS));
    }
    const whole = ms + this.#clock.elapsed() - started;
    counts.ticks++;
    counts.tickMs += whole;
    counts.tickMsMax = Math.max(counts.tickMsMax, whole);
    counts.lateMsMax = Math.max(counts.lateMsMax, lateMs);
    counts.skippedTicks += skipped;
  }

  #care(stage: Stage): void {
    const state = this.#stateOf(stage.zone);
    if (!state) return;
    const now = this.#clock.elapsed();
    // The zone may have failed on it when it was opened.
    if (state.plan === null) return this.#sendCommand(stage.zone, { type: 'CreateZone', plan: this.#plan });
    for (const handover of Object.values(state.departures)) this.#careForDeparture(stage, handover, now);
    for (const [player, counts] of stage.violations) this.#sendCommand(stage.zone, { type: 'CountViolations', player, counts });
    stage.violations.clear();
    if (now - stage.lookedAt < LOOK_MS) return;
    stage.lookedAt = now;
    this.#findUnattended(stage, state, now);
  }

  /** Sends a handover again that got no answer; takes one back that could not be sent because the log is away. */
  #careForDeparture(stage: Stage, handover: Handover, now: number): void {
    const { number } = handover;
    const player = handover.player.id;
    const sent = stage.handedOver.get(player);
    if (sent?.number === number) {
      if (now - sent.at > HANDOVER_RETRY_MS) this.#handOver(stage, handover);
      return;
    }
    const isStuck = this.#host?.isRecording === false && now - (stage.departedAt.get(player) ?? now) > HANDOVER_RETRY_MS;
    if (!isStuck && stage.recalled.get(player) !== number) return;
    stage.recalled.set(player, number);
    this.#sendCommand(stage.zone, { type: 'RecallPlayer', player, number });
  }

  #findUnattended(stage: Stage, state: World, now: number): void {
    for (const { id, presence } of Object.values(state.players)) {
      if (presence.session === '' || stage.guests.get(id)?.session === presence.session) {
        stage.unattended.delete(id);
        continue;
      }
      const since = stage.unattended.get(id) ?? now;
      stage.unattended.set(id, since);
      if (now - since > LOST_MS)
        this.#sendCommand(stage.zone, { type: 'LeaveZone', player: id, session: presence.session, reason: 'lost' });
    }
  }

  #report(): void {
    const zones = [...this.#stages.values()].map((stage): ZoneStats => {
      const { counts, zone, hotAt, coldAt } = stage;
      stage.counts = noCounts();
      const address = zoneAddress(worldZone.kind, zone);
      const view = this.#host?.view(address);
      const state = view?.state as World | undefined;
      const players = Object.values(state?.players ?? {});
      return {
        zone,
        awake: state?.awake ?? 0,
        asleep: players.length - (state?.awake ?? 0),
        inTransit: Object.keys(state?.departures ?? {}).length,
        flagged: players.filter(({ violations }) => violations.total > 0).length,
        seq: view?.seq ?? 0,
        epoch: view?.epoch ?? 0,
        waiting: this.#host?.waiting(address) ?? 0,
        ticks: counts.ticks,
        tickMsMean: counts.ticks === 0 ? 0 : counts.tickMs / counts.ticks,
        tickMsMax: counts.tickMsMax,
        lateMsMax: counts.lateMsMax,
        skippedTicks: counts.skippedTicks,
        accepted: counts.accepted,
        refused: counts.refused,
        events: counts.events,
        hotAt,
        coldAt,
      };
    });
    this.#send({ type: 'stats', zones });
  }

  #notice(handles: Handle[], kind: string, from: string | null, text: string | null, at: number): void {
    if (handles.length > 0) this.#send({ type: 'notice', handles, kind, from, text, at });
  }

  #sendSelf(stage: Stage, id: PlayerId, state: World): void {
    const player = state.players[id];
    const handles = this.#handlesOf(stage, id);
    if (player && handles.length > 0) this.#cast(handles, { t: 'you', you: yourselfOf(player) });
  }

  #handlesOf(stage: Stage, id: PlayerId): Handle[] {
    const guest = stage.guests.get(id);
    return guest ? [guest.handle] : [];
  }

  #forget(handle: Handle): void {
    const guest = this.#guests.get(handle);
    if (!guest) return;
    this.#guests.delete(handle);
    const stage = this.#stages.get(guest.zone);
    if (stage?.guests.get(guest.player) === guest) stage.guests.delete(guest.player);
    stage?.audience.leave(handle);
  }

  #refuse(handle: Handle, zone: ZoneId, n: number, refusal: string, message: string): void {
    const code = refusal === 'ZONE_STOPPED' || refusal === 'ZONE_FAILED' ? 'ZONE_MOVING' : refusal;
    const guest = this.#guests.get(handle);
    const place = guest && this.#stateOf(zone)?.players[guest.player]?.position;
    const frame = encodeFrame({ t: 'refused', n, code, message, ...(place && { x: place.x, y: place.y }) });
    this.#send({ type: 'reply', handle, zone, n, code, frame });
  }

  #cast(handles: Handle[], frame: ServerFrame, matters = true): void {
    this.#send({ type: 'cast', handles, matters, frame: encodeFrame(frame) });
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

function countViolation(stage: Stage, player: PlayerId, code: string, count: number): void {
  const counts = stage.violations.get(player) ?? {};
  counts[code] = (counts[code] ?? 0) + count;
  stage.violations.set(player, counts);
}
