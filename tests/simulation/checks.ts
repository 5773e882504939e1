import type { WorldEvent } from '@millrace/contracts';
import { type EventBatch, keyOf, lastSeqOf, StateReplay, zoneAddress } from '@millrace/kernel';
import { hashOf, type World, worldZone } from '@millrace/worlds';
import { checkAnswers, checkBeliefs } from './client-checks.ts';
import type { Cluster } from './cluster.ts';
import type { Operator } from './operator.ts';
import type { SimulatedPlayer } from './player.ts';

interface LiveZone {
  readonly seq: number;
  readonly epoch: number;
  readonly hash: string;
  readonly state: World;
}

/** Checks all laws after the faults have ended. @returns violations */
export async function checkWorld(
  cluster: Cluster,
  players: readonly SimulatedPlayer[],
  operator: Operator,
  circumstances: { readonly areFramesLost: boolean },
  answered: <T>(work: Promise<T>) => Promise<T>,
): Promise<string[]> {
  const mistakes: string[] = [];
  const live = await liveZones(cluster, answered);
  for (const zone of cluster.zones) if (!live.has(zone)) mistakes.push(`zone ${zone} is open nowhere`);
  // Events decided meanwhile are in the log and consumed a moment later.
  await answered(new Promise<void>((resolve) => cluster.scheduler.at(cluster.scheduler.now + 2_000, resolve)));
  const skipped = cluster.log.skippedEvents();
  for (const zone of cluster.zones) {
    const batches = cluster.log.ofZone(zoneAddress(worldZone.kind, zone));
    checkOrder(zone, batches, mistakes);
    const found = live.get(zone);
    if (found) checkReplay(zone, batches, found, mistakes);
    checkTable(cluster, zone, batches, found?.seq ?? 0, skipped, mistakes);
  }
  checkOwners(cluster, mistakes);
  checkConfirmed(cluster, operator, mistakes);
  checkCommands(cluster, mistakes);
  checkWhereabouts(live, players, mistakes);
  checkAnswers(cluster.log, players, circumstances, mistakes);
  // The models of clients are read between two reads of the zones.
  const beliefs = players.filter(({ isPlaying }) => isPlaying).map(({ id, model }) => ({ id, ...model.belief() }));
  checkBeliefs(live, await liveZones(cluster, answered), beliefs, circumstances, mistakes);
  return mistakes;
}

async function liveZones({ gateway, zones }: Cluster, answered: <T>(work: Promise<T>) => Promise<T>): Promise<Map<string, LiveZone>> {
  const live = new Map<string, LiveZone>();
  for (const zone of zones) {
    const found = gateway ? ((await answered(gateway.ask({ about: 'zone', zone }))) as LiveZone | null) : null;
    if (found) live.set(zone, found);
  }
  return live;
}

/** The log of a zone has no gaps and no duplicates. */
function checkOrder(zone: string, batches: readonly EventBatch[], mistakes: string[]): void {
  let seq = 0;
  for (const batch of batches) {
    if (batch.firstSeq !== seq + 1) mistakes.push(`${zone}: after event ${seq} the log has ${batch.firstSeq}`);
    seq = lastSeqOf(batch);
  }
}

/** The epochs of a shard rise, and its batches were written by their claimers, and decided by them or by owners before them. */
function checkOwners({ log }: Cluster, mistakes: string[]): void {
  const newest = new Map<number, number>();
  for (const { batch, by, epoch } of log.batches) {
    const shard = log.shardOf(batch.zone);
    const owner = log.claims.get(`${shard} ${epoch}`);
    if (owner !== by) mistakes.push(`${batch.zone}: epoch ${epoch} of ${owner} was written by ${by}`);
    if (epoch < (newest.get(shard) ?? 0)) mistakes.push(`${batch.zone}: epoch ${epoch} wrote after epoch ${newest.get(shard)}`);
    if (batch.epoch > epoch) mistakes.push(`${batch.zone}: epoch ${epoch} wrote what epoch ${batch.epoch} has decided`);
    newest.set(shard, epoch);
  }
}

/** The live state equals the replayed log. */
function checkReplay(zone: string, batches: readonly EventBatch[], live: LiveZone, mistakes: string[]): void {
  const replay = new StateReplay(worldZone, zoneAddress(worldZone.kind, zone), undefined);
  try {
    for (const batch of batches) if (replay.seq < live.seq) replay.apply(structuredClone(batch), live.seq);
  } catch (error) {
    return void mistakes.push(`${zone} cannot be replayed: ${error}`);
  }
  const { state } = replay.checkpoint();
  if (replay.seq !== live.seq) mistakes.push(`${zone}: the log ends at ${replay.seq}, the live zone is at ${live.seq}`);
  else if (hashOf(state) !== live.hash)
    mistakes.push(`${zone}: replayed to event ${live.seq}, ${differenceOf(state, live.state, 'the state')}`);
}

/** Describes the first difference of two states. */
function differenceOf(replayed: unknown, live: unknown, path: string): string | undefined {
  if (Object.is(replayed, live)) return undefined;
  if (typeof replayed !== 'object' || typeof live !== 'object' || replayed === null || live === null)
    return `${path} is ${JSON.stringify(replayed)}, live it was ${JSON.stringify(live)}`;
  for (const key of new Set([...Object.keys(replayed), ...Object.keys(live)])) {
    const difference = differenceOf((replayed as Record<string, unknown>)[key], (live as Record<string, unknown>)[key], `${path}.${key}`);
    if (difference) return difference;
  }
  return undefined;
}

/** The table has each event once and nothing else, except for events in recorded gaps. */
function checkTable(
  { table }: Cluster,
  zone: string,
  batches: readonly EventBatch[],
  liveSeq: number,
  skipped: ReadonlySet<string>,
  mistakes: string[],
): void {
  const address = zoneAddress(worldZone.kind, zone);
  const inLog = new Set(batches.flatMap((batch) => batch.events.map((_event, index) => batch.firstSeq + index)));
  for (const { zone: jumped, seq, next } of table.jumps)
    for (let missing = seq + 1; jumped === address && missing < next; missing++)
      if (inLog.has(missing) && !skipped.has(`${address} ${missing}`)) mistakes.push(`${zone}: the table never got event ${missing}`);
  if ((table.marks.get(address) ?? 0) < liveSeq) mistakes.push(`${zone}: the table is at ${table.marks.get(address) ?? 0} of ${liveSeq}`);
  const rows = table.rows.get(address) ?? [];
  const has = new Set(rows);
  const logged = batches
    .flatMap((batch) => batch.events.map((event, index) => `${batch.firstSeq + index} ${event.type}`))
    .filter((event) => has.has(event) || !skipped.has(`${address} ${event.split(' ')[0]}`));
  const first = rows.findIndex((row, index) => row !== logged[index]);
  if (first >= 0) mistakes.push(`${zone}: row ${first} of the table is "${rows[first]}", the log has "${logged[first]}"`);
}

/** Each event that was confirmed as durable exists once. */
function checkConfirmed({ log }: Cluster, operator: Operator, mistakes: string[]): void {
  const found = new Map<string, string[]>();
  for (const { batch } of log.batches)
    for (const [index, event] of (batch.events as unknown as WorldEvent[]).entries())
      if (event.type === 'Announced')
        found.set(event.text, [...(found.get(event.text) ?? []), `${keyOf(batch.zone)} ${batch.firstSeq + index}`]);
  for (const { zone, seq, text } of operator.confirmed) {
    const places = found.get(text) ?? [];
    if (!places.includes(`${zone} ${seq}`))
      mistakes.push(`"${text}" was confirmed at ${zone} ${seq} and is at ${places.join(', ') || 'no place'}`);
  }
  for (const [text, places] of found)
    if (places.length > 1) mistakes.push(`"${text}" happened ${places.length} times: ${places.join(', ')}`);
}

/** No command of a player had two effects. */
function checkCommands({ log }: Cluster, mistakes: string[]): void {
  const seen = new Map<string, string>();
  const sessions = new Map<string, string>();
  for (const { batch } of log.batches) {
    // The session of a player may be among the lost events.
    const lost = batch.loss?.checkpoint.state as World | undefined;
    for (const { id, presence } of Object.values(lost?.players ?? {})) sessions.set(id, presence.session);
    for (const [index, event] of (batch.events as unknown as WorldEvent[]).entries()) {
      const at = `${keyOf(batch.zone)} ${batch.firstSeq + index} ${event.type}`;
      if (event.type === 'PlayerJoined') sessions.set(event.player.id, event.player.presence.session);
      if (event.type === 'PlayerWoke') sessions.set(event.player, event.session);
      if (!('n' in event)) continue;
      const player = event.type === 'PlayerDeparted' ? event.handover.player.id : event.player;
      const session = event.type === 'PlayerDeparted' ? event.handover.player.presence.session : sessions.get(player);
      const command = `${player} ${session} ${event.n}`;
      const before = seen.get(command);
      if (before !== undefined) mistakes.push(`command ${event.n} of ${player} happened twice: ${before}, ${at}`);
      seen.set(command, at);
    }
  }
}

/** Each player is in one zone, each item in one place. */
function checkWhereabouts(live: ReadonlyMap<string, LiveZone>, players: readonly SimulatedPlayer[], mistakes: string[]): void {
  const places = new Map<string, string[]>();
  const put = (what: string, where: string) => places.set(what, [...(places.get(what) ?? []), where]);
  for (const [zone, { state }] of live) {
    for (const id of Object.keys(state.departures)) mistakes.push(`${id} is still on the way from ${zone}`);
    for (const id of Object.keys(state.items)) put(id, `on the ground of ${zone}`);
    for (const player of Object.values(state.players)) {
      put(player.id, zone);
      for (const { id } of player.bag.items) put(id, `in the bag of ${player.id}`);
    }
  }
  for (const [what, where] of places) if (where.length > 1) mistakes.push(`${what} is in ${where.length} places: ${where.join(', ')}`);
  for (const { id } of players) if (!places.has(id)) mistakes.push(`${id} is in no zone`);
}
