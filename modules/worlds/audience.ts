import { type PlayerId, type SeenObject, type ServerFrameOf, type WorldEvent, ZONE_SIZE, type ZoneId } from '@millrace/contracts';
import type { Handle } from './messages.ts';
import { columnAndRow } from './terrain.ts';
import { seenItem, seenMonster, seenPlayer } from './views.ts';
import type { World } from './world-state.ts';

/** Length of a cell’s side, cm. A player sees its own cell and the eight around it: 16 m at least, 32 m at most. */
const CELL_SIZE = 1_600;
const CELLS_PER_SIDE = ZONE_SIZE / CELL_SIZE;
const NOWHERE = -1;

type Update = ServerFrameOf<'update'>;
type Fields = Record<string, unknown>;

/** An object as the audience has it: where it is, and where it was in the last update. */
interface Shown {
  object: SeenObject;
  cell: number;
  cellBefore: number;
  hasMoved: boolean;
  fields: Fields | null;
}

interface Watcher {
  readonly handle: Handle;
  readonly player: PlayerId;
  /** The cell whose surroundings it was sent; NOWHERE when it needs all of them. */
  cell: number;
  muted: boolean;
}

/** A frame for watchers. */
export type Send = (handles: Handle[], frame: Update | ServerFrameOf<'view'>) => void;

/**
 * Who watches a zone, and what each has been shown. The zone is cut into cells; all who stand in one cell see the same
 * nine, so an update is put together once for each cell and not for each player. Cost: changes times nine, plus one
 * frame for each watcher.
 */
export class Audience {
  readonly #zone: ZoneId;
  readonly #send: Send;
  readonly #left: number;
  readonly #top: number;
  readonly #shown = new Map<string, Shown>();
  readonly #members: Set<Shown>[] = Array.from({ length: CELLS_PER_SIDE ** 2 }, () => new Set());
  readonly #watchers = new Map<Handle, Watcher>();
  #dirty = new Set<Shown>();

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

  /** Sees everything as it is, as after the zone was opened or rebuilt. Watchers are shown all of it anew. */
  reset(state: World): void {
    this.#shown.clear();
    this.#dirty.clear();
    for (const members of this.#members) members.clear();
    for (const player of Object.values(state.players)) if (player.presence.session !== '') this.#show(seenPlayer(player));
    for (const monster of Object.values(state.monsters)) this.#show(seenMonster(monster));
    for (const item of Object.values(state.items)) this.#show(seenItem(item));
    for (const shown of this.#dirty) shown.cellBefore = shown.cell;
    this.#dirty.clear();
    for (const watcher of this.#watchers.values()) watcher.cell = NOWHERE;
  }

  /** Notes what an event changes in what can be seen. */
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

  /** From the next flush on, the session sees what is around its player. */
  watch(handle: Handle, player: PlayerId): void {
    this.#watchers.set(handle, { handle, player, cell: NOWHERE, muted: false });
  }

  leave(handle: Handle): void {
    this.#watchers.delete(handle);
  }

  /** While muted, a watcher is sent nothing; afterwards it needs to see everything again. */
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

  /** What a player at its place sees now. */
  viewOf(player: PlayerId): SeenObject[] {
    const cell = this.#shown.get(player)?.cell ?? NOWHERE;
    return cell === NOWHERE ? [] : surroundings(cell).flatMap((near) => [...this.#at(near)].map(({ object }) => object));
  }

  /** Tells every watcher what has changed in its sight since the last call. */
  flush(tick: number): void {
    const changes = this.#changesByCell(tick);
    const together = new Map<number, Handle[]>();
    for (const watcher of this.#watchers.values()) {
      if (watcher.muted) continue;
      const cell = this.#shown.get(watcher.player)?.cell ?? NOWHERE;
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
    for (const shown of this.#dirty) {
      shown.cellBefore = shown.cell;
      shown.hasMoved = false;
      shown.fields = null;
      if (shown.cell === NOWHERE) this.#shown.delete(shown.object.id);
    }
    this.#dirty.clear();
  }

  /** For each cell that someone stands in, what has changed in the nine around it. */
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
    for (const shown of this.#dirty) {
      const { cell, cellBefore } = shown;
      if (cell !== NOWHERE)
        for (const near of surroundings(cell)) addChange(updateOf(near), shown, cellBefore !== NOWHERE && isNear(cellBefore, near));
      if (cellBefore !== NOWHERE && cellBefore !== cell)
        for (const near of surroundings(cellBefore)) if (cell === NOWHERE || !isNear(cell, near)) updateOf(near).out.push(shown.object.id);
    }
    return changes;
  }

  /** What changes for one who has itself gone from one cell to another. */
  #crossing(tick: number, from: number, to: number): Update {
    const update = emptyUpdate(tick);
    for (const near of surroundings(to))
      for (const shown of this.#at(near)) {
        const was = shown.cellBefore !== NOWHERE && isNear(shown.cellBefore, from);
        if (!was) update.in.push(shown.object);
        else if (this.#dirty.has(shown)) addChange(update, shown, true);
      }
    for (const far of surroundings(from)) {
      if (isNear(far, to)) continue;
      for (const shown of this.#at(far))
        if (shown.cellBefore !== NOWHERE && isNear(shown.cellBefore, from)) update.out.push(shown.object.id);
    }
    for (const shown of this.#dirty) {
      const wasSeen = shown.cellBefore !== NOWHERE && isNear(shown.cellBefore, from);
      const isSeen = shown.cell !== NOWHERE && isNear(shown.cell, to);
      const isCounted = shown.cell !== NOWHERE && isNear(shown.cell, from);
      if (wasSeen && !isSeen && !isCounted) update.out.push(shown.object.id);
    }
    return update;
  }

  #show(object: SeenObject): void {
    const known = this.#shown.get(object.id);
    if (known) {
      // Shown whole, because all of it may be new. Its place is told as a move is, so that a move in the same tick is not undone.
      const { x: _x, y: _y, ...fields } = object;
      known.object = object;
      known.fields = fields;
      known.hasMoved = true;
      this.#place(known);
      this.#dirty.add(known);
      return;
    }
    const shown: Shown = { object, cell: NOWHERE, cellBefore: NOWHERE, hasMoved: false, fields: null };
    this.#shown.set(object.id, shown);
    this.#place(shown);
    this.#dirty.add(shown);
  }

  #hide(id: string): void {
    const shown = this.#shown.get(id);
    if (!shown || shown.cell === NOWHERE) return;
    this.#at(shown.cell).delete(shown);
    shown.cell = NOWHERE;
    this.#dirty.add(shown);
  }

  #move(id: string, x: number, y: number): void {
    const shown = this.#shown.get(id);
    if (!shown || shown.cell === NOWHERE || (shown.object.x === x && shown.object.y === y)) return;
    // A new object: the old one may be on its way in a view.
    shown.object = { ...shown.object, x, y };
    shown.hasMoved = true;
    this.#place(shown);
    this.#dirty.add(shown);
  }

  #set(id: string, fields: Fields): void {
    const shown = this.#shown.get(id);
    if (!shown) return;
    shown.object = { ...shown.object, ...fields };
    shown.fields = { ...shown.fields, ...fields };
    this.#dirty.add(shown);
  }

  #place(shown: Shown): void {
    const { x, y } = shown.object;
    const column = clamp(Math.floor((x - this.#left) / CELL_SIZE));
    const row = clamp(Math.floor((y - this.#top) / CELL_SIZE));
    const cell = row * CELLS_PER_SIDE + column;
    if (cell === shown.cell) return;
    if (shown.cell !== NOWHERE) this.#at(shown.cell).delete(shown);
    shown.cell = cell;
    this.#at(cell).add(shown);
  }

  #at(cell: number): Set<Shown> {
    const members = this.#members[cell];
    if (!members) throw new RangeError(`zone ${this.#zone} has no cell ${cell}`);
    return members;
  }
}

function addChange(update: Update, shown: Shown, wasSeen: boolean): void {
  const { object, hasMoved, fields } = shown;
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
