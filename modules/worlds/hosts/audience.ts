import { type PlayerId, type SeenObject, type ServerFrameOf, type WorldEvent, ZONE_SIZE, type ZoneId } from '@millrace/contracts';
import type { Handle } from '../messages.ts';
import { columnAndRow } from '../zone/terrain.ts';
import { seenItem, seenMonster, seenPlayer } from '../zone/views.ts';
import type { World } from '../zone/world-state.ts';

/** Length of a cell’s side, cm. A player sees its own cell and the eight around it: 16 m at least, 32 m at most. */
const CELL_SIZE = 1_600;
const CELLS_PER_SIDE = ZONE_SIZE / CELL_SIZE;
const NOWHERE = -1;

type Update = ServerFrameOf<'update'>;
type Fields = Record<string, unknown>;

/** An object with its current cell, and its cell in the last update. */
interface TrackedObject {
  object: SeenObject;
  cell: number;
  cellBefore: number;
  hasMoved: boolean;
  fields: Fields | null;
}

interface Watcher {
  readonly handle: Handle;
  readonly player: PlayerId;
  /** The cell whose surroundings the client was sent last; NOWHERE when it needs a full view. */
  cell: number;
  muted: boolean;
}

/** A frame for watchers. */
export type Send = (handles: Handle[], frame: Update | ServerFrameOf<'view'>) => void;

/**
 * The watchers of a zone and what each was sent (interest management). The zone is a grid of cells. All watchers in one cell
 * see the same nine cells, so an update is built once per cell and not per player. Cost: nine times the changes, plus one
 * frame per watcher.
 */
export class Audience {
  readonly #zone: ZoneId;
  readonly #send: Send;
  readonly #left: number;
  readonly #top: number;
  readonly #objects = new Map<string, TrackedObject>();
  readonly #members: Set<TrackedObject>[] = Array.from({ length: CELLS_PER_SIDE ** 2 }, () => new Set());
  readonly #watchers = new Map<Handle, Watcher>();
  #dirty = new Set<TrackedObject>();

  constructor(zone: ZoneId, send: Send) {
    this.#zone = zone;
    this.#send = send;
    const { column, row } = columnAndRow(zone);
    this.#left = column * ZONE_SIZE;
    this.#top = row * ZONE_SIZE;
  }

  get handles(): Handle[] {
    return [...this.#watchers.keys()];
  }

  get size(): number {
    return this.#watchers.size;
  }

  /** Loads all objects from the state, after the zone was opened or rebuilt. Every watcher gets a full view at the next flush. */
  reset(state: World): void {
    this.#objects.clear();
    this.#dirty.clear();
    for (const members of this.#members) members.clear();
    for (const player of Object.values(state.players)) if (player.presence.session !== '') this.#show(seenPlayer(player));
    for (const monster of Object.values(state.monsters)) this.#show(seenMonster(monster));
    for (const item of Object.values(state.items)) this.#show(seenItem(item));
    for (const tracked of this.#dirty) tracked.cellBefore = tracked.cell;
    this.#dirty.clear();
    for (const watcher of this.#watchers.values()) watcher.cell = NOWHERE;
  }

  /** Applies the visible changes of an event. `state` is the state after it. */
  apply(event: WorldEvent, state: World): void {
    switch (event.type) {
      case 'ZoneCreated':
      case 'ZoneRestored':
        return this.reset(state);
      case 'PlayerMoved':
      case 'PlayerRevived':
        this.#move(event.player, event.x, event.y);
        if (event.type === 'PlayerRevived') this.#set(event.player, { health: event.health });
        return;
      case 'MonstersMoved':
        for (const [id, x, y] of event.moves) this.#move(id, x, y);
        return;
      case 'PlayerJoined':
        return this.#show(seenPlayer(event.player));
      case 'PlayerArrived':
        return this.#show(seenPlayer(event.handover.player));
      case 'PlayerWoke':
      case 'PlayerRecalled': {
        const player = state.players[event.player];
        if (player) this.#show(seenPlayer(player));
        return;
      }
      case 'PlayerFellAsleep':
      case 'PlayerKicked':
        return this.#hide(event.player);
      case 'PlayerDeparted':
        return this.#hide(event.handover.player.id);
      case 'ItemPickedUp':
        return this.#hide(event.item);
      case 'ItemSpawned':
        return this.#show(seenItem(event.item));
      case 'ItemUsed':
        return this.#set(event.player, { health: event.health });
      case 'PlayerDied':
        return this.#set(event.player, { health: 0 });
      case 'PlayerEdited': {
        const player = state.players[event.player];
        if (!player) return;
        this.#move(player.id, player.position.x, player.position.y);
        return this.#set(player.id, { health: player.health.points });
      }
    }
  }

  /** Adds a watcher. The next flush sends it a full view of its player’s surroundings. */
  watch(handle: Handle, player: PlayerId): void {
    this.#watchers.set(handle, { handle, player, cell: NOWHERE, muted: false });
  }

  leave(handle: Handle): void {
    this.#watchers.delete(handle);
  }

  /** Sends nothing to a watcher until `refresh`. */
  mute(handle: Handle): void {
    const watcher = this.#watchers.get(handle);
    if (watcher) watcher.muted = true;
  }

  refresh(handle: Handle): void {
    const watcher = this.#watchers.get(handle);
    if (!watcher) return;
    watcher.muted = false;
    watcher.cell = NOWHERE;
  }

  /** The objects in the nine cells around a player; none when the player is not visible in the zone. */
  viewOf(player: PlayerId): SeenObject[] {
    const cell = this.#objects.get(player)?.cell ?? NOWHERE;
    return cell === NOWHERE ? [] : surroundings(cell).flatMap((near) => [...this.#at(near)].map(({ object }) => object));
  }

  /** Sends every watcher what changed in its nine cells since the last call. */
  flush(tick: number): void {
    const changes = this.#changesByCell(tick);
    const together = new Map<number, Handle[]>();
    for (const watcher of this.#watchers.values()) {
      if (watcher.muted) continue;
      const cell = this.#objects.get(watcher.player)?.cell ?? NOWHERE;
      if (cell === NOWHERE) continue;
      if (watcher.cell === cell) {
        if (!changes.has(cell)) continue;
        const others = together.get(cell);
        if (others) others.push(watcher.handle);
        else together.set(cell, [watcher.handle]);
        continue;
      }
      if (watcher.cell === NOWHERE) this.#send([watcher.handle], { t: 'view', tick, objects: this.viewOf(watcher.player) });
      else this.#send([watcher.handle], this.#crossing(tick, watcher.cell, cell));
      watcher.cell = cell;
    }
    for (const [cell, handles] of together) this.#send(handles, changes.get(cell) as Update);
    for (const tracked of this.#dirty) {
      tracked.cellBefore = tracked.cell;
      tracked.hasMoved = false;
      tracked.fields = null;
      if (tracked.cell === NOWHERE) this.#objects.delete(tracked.object.id);
    }
    this.#dirty.clear();
  }

  /** For each cell, the changes in the nine cells around it. Cells without nearby changes are left out. */
  #changesByCell(tick: number): Map<number, Update> {
    const changes = new Map<number, Update>();
    const updateOf = (cell: number) => {
      let update = changes.get(cell);
      if (!update) {
        update = emptyUpdate(tick);
        changes.set(cell, update);
      }
      return update;
    };
    for (const tracked of this.#dirty) {
      const { cell, cellBefore } = tracked;
      if (cell !== NOWHERE)
        for (const near of surroundings(cell)) addChange(updateOf(near), tracked, cellBefore !== NOWHERE && isNear(cellBefore, near));
      if (cellBefore !== NOWHERE && cellBefore !== cell)
        for (const near of surroundings(cellBefore))
          if (cell === NOWHERE || !isNear(cell, near)) updateOf(near).out.push(tracked.object.id);
    }
    return changes;
  }

  /** The update for a watcher whose player moved from one cell to another. */
  #crossing(tick: number, from: number, to: number): Update {
    const update = emptyUpdate(tick);
    for (const near of surroundings(to))
      for (const tracked of this.#at(near)) {
        const was = tracked.cellBefore !== NOWHERE && isNear(tracked.cellBefore, from);
        if (!was) update.in.push(tracked.object);
        else if (this.#dirty.has(tracked)) addChange(update, tracked, true);
      }
    for (const far of surroundings(from)) {
      if (isNear(far, to)) continue;
      for (const tracked of this.#at(far))
        if (tracked.cellBefore !== NOWHERE && isNear(tracked.cellBefore, from)) update.out.push(tracked.object.id);
    }
    for (const tracked of this.#dirty) {
      const wasSeen = tracked.cellBefore !== NOWHERE && isNear(tracked.cellBefore, from);
      const isSeen = tracked.cell !== NOWHERE && isNear(tracked.cell, to);
      const isCounted = tracked.cell !== NOWHERE && isNear(tracked.cell, from);
      if (wasSeen && !isSeen && !isCounted) update.out.push(tracked.object.id);
    }
    return update;
  }

  #show(object: SeenObject): void {
    const known = this.#objects.get(object.id);
    if (known) {
      // Sends all fields, because any may have changed. The position goes as a move, so that a later move in the same tick is not undone.
      const { x: _x, y: _y, ...fields } = object;
      known.object = object;
      known.fields = fields;
      known.hasMoved = true;
      this.#place(known);
      this.#dirty.add(known);
      return;
    }
    const tracked: TrackedObject = { object, cell: NOWHERE, cellBefore: NOWHERE, hasMoved: false, fields: null };
    this.#objects.set(object.id, tracked);
    this.#place(tracked);
    this.#dirty.add(tracked);
  }

  #hide(id: string): void {
    const tracked = this.#objects.get(id);
    if (!tracked || tracked.cell === NOWHERE) return;
    this.#at(tracked.cell).delete(tracked);
    tracked.cell = NOWHERE;
    this.#dirty.add(tracked);
  }

  #move(id: string, x: number, y: number): void {
    const tracked = this.#objects.get(id);
    if (!tracked || tracked.cell === NOWHERE || (tracked.object.x === x && tracked.object.y === y)) return;
    // Copied, because the old object may be in a view that was not sent yet.
    tracked.object = { ...tracked.object, x, y };
    tracked.hasMoved = true;
    this.#place(tracked);
    this.#dirty.add(tracked);
  }

  #set(id: string, fields: Fields): void {
    const tracked = this.#objects.get(id);
    if (!tracked) return;
    tracked.object = { ...tracked.object, ...fields };
    tracked.fields = { ...tracked.fields, ...fields };
    this.#dirty.add(tracked);
  }

  #place(tracked: TrackedObject): void {
    const { x, y } = tracked.object;
    const column = clamp(Math.floor((x - this.#left) / CELL_SIZE));
    const row = clamp(Math.floor((y - this.#top) / CELL_SIZE));
    const cell = row * CELLS_PER_SIDE + column;
    if (cell === tracked.cell) return;
    if (tracked.cell !== NOWHERE) this.#at(tracked.cell).delete(tracked);
    tracked.cell = cell;
    this.#at(cell).add(tracked);
  }

  #at(cell: number): Set<TrackedObject> {
    const members = this.#members[cell];
    if (!members) throw new RangeError(`zone ${this.#zone} has no cell ${cell}`);
    return members;
  }
}

function addChange(update: Update, tracked: TrackedObject, wasSeen: boolean): void {
  const { object, hasMoved, fields } = tracked;
  if (!wasSeen) {
    update.in.push(object);
    return;
  }
  if (hasMoved) update.at.push([object.id, object.x, object.y]);
  if (fields) update.set.push([object.id, fields]);
}

function emptyUpdate(tick: number): Update {
  return { t: 'update', tick, in: [], at: [], set: [], out: [] };
}

function clamp(cell: number): number {
  return Math.max(0, Math.min(CELLS_PER_SIDE - 1, cell));
}

const SURROUNDINGS: readonly (readonly number[])[] = Array.from({ length: CELLS_PER_SIDE ** 2 }, (_none, cell) =>
  Array.from({ length: CELLS_PER_SIDE ** 2 }, (_nothing, other) => other).filter((other) => isNear(cell, other)),
);

function surroundings(cell: number): readonly number[] {
  return SURROUNDINGS[cell] ?? [];
}

function isNear(a: number, b: number): boolean {
  return (
    Math.abs((a % CELLS_PER_SIDE) - (b % CELLS_PER_SIDE)) <= 1 &&
    Math.abs(Math.floor(a / CELLS_PER_SIDE) - Math.floor(b / CELLS_PER_SIDE)) <= 1
  );
}
