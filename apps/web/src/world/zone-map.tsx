import type { SeenObject } from '@millrace/contracts';
import { useQuery } from '@tanstack/react-query';
import { useEffect, useRef } from 'react';
import { api } from '../api.ts';
import { usePreferences } from '../preferences.ts';
import { draw, frameOf, groundFrom, type Point } from './drawing.ts';

/** Duration of the animation of objects between two states, ms. */
const GLIDE_MS = 200;

interface ZoneMapProps {
  readonly zone: string;
  /** Undefined while loading. */
  readonly objects: readonly SeenObject[] | undefined;
  readonly marked?: string | undefined;
  readonly path?: readonly (readonly Point[])[] | undefined;
  /** True if objects are animated between two states; false for the history slider. */
  readonly gliding?: boolean;
  readonly label: string;
}

/** A zone on canvas, from above. */
export function ZoneMap({ zone, objects, marked, path, gliding = false, label }: ZoneMapProps) {
  const canvas = useRef<HTMLCanvasElement>(null);
  const before = useRef(new Map<string, SeenObject>());
  const theme = usePreferences((preferences) => preferences.theme);
  const map = useQuery({ queryKey: ['map', zone], queryFn: () => api.zoneMap(zone), staleTime: Number.POSITIVE_INFINITY });
  const blocked = map.data?.blocked;
  useEffect(() => {
    void theme;
    const from = before.current;
    const to = objects ?? [];
    const started = performance.now();
    const ground = blocked === undefined ? null : groundFrom(zone, blocked);
    let frame = 0;
    const show = () => {
      const share = gliding ? Math.min(1, (performance.now() - started) / GLIDE_MS) : 1;
      const shown = share === 1 ? to : to.map((object) => between(from.get(object.id), object, share));
      before.current = new Map(shown.map((object) => [object.id, object]));
      if (canvas.current) draw(canvas.current, { frame: frameOf(zone), ground, objects: shown, marked, ...(path && { path }) });
      frame = share < 1 ? requestAnimationFrame(show) : 0;
    };
    show();
    const resized = new ResizeObserver(show);
    if (canvas.current) resized.observe(canvas.current);
    return () => {
      resized.disconnect();
      cancelAnimationFrame(frame);
    };
  }, [zone, objects, marked, path, gliding, blocked, theme]);
  return <canvas ref={canvas} role="img" aria-label={label} className="block aspect-square w-full rounded-md" />;
}

function between(from: SeenObject | undefined, to: SeenObject, share: number): SeenObject {
  if (!from) return to;
  return { ...to, x: from.x + (to.x - from.x) * share, y: from.y + (to.y - from.y) * share };
}
