import type { ZoneId } from '@millrace/contracts';
import { ApiProblem } from '@millrace/http';
import type { Gateway } from './gateway/gateway.ts';
import type { World } from './zone/world-state.ts';

/** Live state of a zone, as its host reports it. */
export interface LiveZone {
  readonly seq: number;
  readonly epoch: number;
  readonly hash: string;
  readonly state: World;
}

/** @throws ApiProblem ZONE_UNAVAILABLE when no host replies for the zone */
export async function liveZone(gateway: Pick<Gateway, 'ask'>, zone: ZoneId): Promise<LiveZone> {
  const live = (await gateway.ask({ about: 'zone', zone })) as LiveZone | null;
  if (!live) throw zoneUnavailable(zone);
  return live;
}

export function zoneUnavailable(zone: ZoneId): ApiProblem {
  return new ApiProblem(
    'ZONE_UNAVAILABLE',
    `Zone ${zone} cannot be reached now.`,
    'It is moving or its host is starting. Try again in a moment.',
  );
}
