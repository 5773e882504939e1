import { ACCEPTED_WINDOW, type Player, type SeenObject, type WorldEvent, ZONE_SIZE } from '@millrace/contracts';
import type { World } from '@millrace/worlds';
import { type Belief, isCounted, REPEATED } from './client-model.ts';
import type { SimulatedPlayer } from './player.ts';
import type { ZoneLog } from './zone-log.ts';

/*
 * Compares the frames of clients with the log and the zones.
 */

/** Side of a visibility cell, cm: a client sees its own cell and the eight around it (docs/protocols/world.md). */
const CELL_SIDE = 1_600;

interface Accepted {
  readonly numbers: Set<number>;
  /** Commands whose outcome the log does not have: they are in a lost range, and older than the ids in the state after it. */
  readonly unknown: Set<number>;
}

/** Accepted commands according to the log, by session. */
function acceptedBySession({ batches }: ZoneLog): Map<string, Accepted> {
  const accepted = new Map<string, Accepted>();
  const sessions = new Map<string, string>();
  const note = (session: string | undefined, n: number) => {
    if (session === undefined) return;
    of(session).numbers.add(n);
  };
  const of = (session: string): Accepted => {
    const known = accepted.get(session) ?? { numbers: new Set(), unknown: new Set() };
    accepted.set(session, known);
    return known;
  };
  for (const { batch } of batches) {
    // Lost events had their effect: the state after them has the ids of their commands.
    const lost = batch.loss?.checkpoint.state as World | undefined;
    const departed = Object.values(lost?.departures ?? {}).map(({ player }) => player);
    for (const { id, presence } of [...Object.values(lost?.players ?? {}), ...departed]) {
      // A sleeping player keeps the data of its newest session.
      const session = presence.session || presence.last;
      sessions.set(id, presence.session);
      if (session !== undefined) {
        const { numbers, unknown } = of(session);
        for (let n = Math.max(0, ...numbers) + 1; n < presence.n - ACCEPTED_WINDOW; n++) unknown.add(n);
      }
      if (presence.n > 0) note(session, presence.n);
      for (let bits = BigInt(presence.before ?? 0), n = presence.n - 1; bits > 0n; bits >>= 1n, n--) if (bits & 1n) note(session, n);
    }
    for (const event of batch.events as unknown as WorldEvent[]) {
      if (event.type === 'PlayerJoined') sessions.set(event.player.id, event.player.presence.session);
      if (event.type === 'PlayerWoke') sessions.set(event.player, event.session);
      if (event.type === 'PlayerDeparted') note(event.handover.player.presence.session, event.n);
      else if ('n' in event) note(sessions.get(event.player), event.n);
    }
  }
  return accepted;
}

/**
 * Checks that each frame agrees with earlier ones, that each command has one reply, and that replies agree with the log. If messages between gateway and
 * host are duplicated or reordered, one copy of a command may be refused and the other accepted; links between processes keep the order.
 */
export function checkAnswers(
  log: ZoneLog,
  players: readonly SimulatedPlayer[],
  { areFramesLost }: { readonly areFramesLost: boolean },
  mistakes: string[],
): void {
  const recorded = acceptedBySession(log);
  for (const { id, isStubborn, isPlaying, model } of players) {
    mistakes.push(...model.mistakes);
    for (const session of model.sessions) {
      const { numbers: accepted, unknown } = recorded.get(session.id) ?? { numbers: new Set(), unknown: new Set() };
      const isNewest = session === model.session;
      for (const [n, command] of session.sent) {
        const answer = session.answers.get(n);
        const what = `command ${n} (${command.t}) of ${id}, session ${session.id},`;
        if (answer === undefined) {
          if (isNewest && !isStubborn && isPlaying) mistakes.push(`${what} was never answered`);
        } else if (!isCounted(command) || unknown.has(n)) continue;
        else if (answer === null && !accepted.has(n) && !session.undone.has(n) && isNewest && isPlaying)
          mistakes.push(`${what} was answered ok and is not on record`);
        else if (answer !== null && answer !== REPEATED && !areFramesLost && !isStubborn && accepted.has(n))
          mistakes.push(`${what} was refused with ${answer} and is on record`);
      }
    }
  }
}

/**
 * Checks that the models of clients equal their zones when nobody acts any more. Changes between the two reads of the zones are not checked.
 * @param before the states of the zones
 * @param later the same, later
 * @param beliefs the models of the clients between both reads, when all events decided by `before` had reached them
 */
export function checkBeliefs(
  before: ReadonlyMap<string, { readonly state: World }>,
  later: ReadonlyMap<string, { readonly state: World }>,
  beliefs: readonly (Belief & { readonly id: string })[],
  { areFramesLost }: { readonly areFramesLost: boolean },
  mistakes: string[],
): void {
  for (const { id, zone, you, session, sight } of beliefs) {
    if (zone === null || !you || !session) continue;
    const [one, other] = [before.get(zone)?.state, later.get(zone)?.state];
    const player = other?.players[id];
    if (!one || !other) continue;
    if (!player) {
      mistakes.push(`${id} believes that it is in zone ${zone}, and is not`);
      continue;
    }
    if (JSON.stringify(player) !== JSON.stringify(one.players[id])) continue;
    const wrong = (what: string, believed: unknown, real: unknown) => {
      if (JSON.stringify(believed) !== JSON.stringify(real))
        mistakes.push(`${id} believes that its ${what} is ${JSON.stringify(believed)}; zone ${zone} says ${JSON.stringify(real)}`);
    };
    wrong('session', session.id, player.presence.session);
    wrong('newest accepted command', session.n, player.presence.n);
    if (areFramesLost) continue;
    wrong('place', [you.x, you.y], [player.position.x, player.position.y]);
    wrong('health', [you.health, you.most, you.stunnedUntil], [player.health.points, player.health.most, player.health.stunnedUntil]);
    wrong(
      'bag',
      you.bag.map((carried) => carried.id),
      player.bag.items.map((carried) => carried.id),
    );
    checkSight(id, sight, inSight(one, player), inSight(other, player), mistakes);
  }
}

function checkSight(
  id: string,
  sight: ReadonlyMap<string, SeenObject>,
  before: ReadonlyMap<string, string>,
  later: ReadonlyMap<string, string>,
  mistakes: string[],
): void {
  for (const [object, place] of later) {
    if (before.get(object) !== place) continue;
    const seen = sight.get(object);
    if (!seen || placeOf(seen) !== place)
      mistakes.push(`${id} sees ${object} at ${seen ? placeOf(seen) : 'no place'}; it stands at ${place}`);
  }
  for (const [object, { kind }] of sight)
    if (kind !== 'monster' && !before.has(object) && !later.has(object)) mistakes.push(`${id} sees ${object}, which is not in its sight`);
}

const placeOf = ({ x, y }: Pick<SeenObject, 'x' | 'y'>) => `${x},${y}`;

/** Objects that a player must see, with their positions, except monsters, which move all the time. */
function inSight({ items, players }: World, { position: own }: Player): Map<string, string> {
  const cellOf = (at: number) => Math.floor((at % ZONE_SIZE) / CELL_SIDE);
  const awake = Object.values(players).filter(({ presence }) => presence.session !== '');
  return new Map(
    [...Object.values(items), ...awake]
      .filter(({ position: { x, y } }) => Math.abs(cellOf(x) - cellOf(own.x)) <= 1 && Math.abs(cellOf(y) - cellOf(own.y)) <= 1)
      .map(({ id, position }) => [id, placeOf(position)]),
  );
}
