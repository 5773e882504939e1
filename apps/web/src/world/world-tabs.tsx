import type { ReactNode } from 'react';
import { Link, useLocation } from 'wouter';
import { useMay } from '../identity/account.ts';
import { useText } from '../text/text.ts';

/** Tabs of the world pages. */
export function WorldTabs({ aside }: { aside?: ReactNode }) {
  const text = useText();
  const [here] = useLocation();
  const mayRead = useMay('platform:read');
  const mayPlay = useMay('world:play');
  const tabs = [
    { href: '/worlds', label: text.zones, isHere: here === '/worlds' || here.startsWith('/worlds/zones'), may: mayRead },
    { href: '/worlds/players', label: text.players, isHere: here.startsWith('/worlds/players'), may: mayRead },
    { href: '/worlds/snapshots', label: text.snapshots, isHere: here === '/worlds/snapshots', may: mayRead },
    { href: '/worlds/play', label: text.play, isHere: here === '/worlds/play', may: mayPlay },
  ].filter(({ may }) => may);
  return (
    <div className="flex flex-wrap items-center gap-x-4 gap-y-2 py-4">
      <nav aria-label={text.world} className="flex gap-1 text-sm">
        {tabs.map(({ href, label, isHere }) => (
          <Link
            key={href}
            href={href}
            aria-current={isHere ? 'page' : undefined}
            className={`rounded-md px-2.5 py-1 ${isHere ? 'bg-raised font-medium' : 'text-muted hover:text-ink'}`}
          >
            {label}
          </Link>
        ))}
      </nav>
      {aside && <div className="ml-auto flex items-center gap-2">{aside}</div>}
    </div>
  );
}
