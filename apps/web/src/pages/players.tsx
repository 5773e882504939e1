import { useQuery } from '@tanstack/react-query';
import { useState } from 'react';
import { Link } from 'wouter';
import { api } from '../api.ts';
import { useStateWords } from '../parts/badges.tsx';
import { Input, Outcome, Panel } from '../parts/controls.tsx';
import { Failure, Notice } from '../parts/notice.tsx';
import { useFormats } from '../parts/numbers.ts';
import { Table } from '../parts/table.tsx';
import { useText } from '../text/text.ts';
import { WorldTabs } from '../world/world-tabs.tsx';

const AGAIN_MS = 3_000;

/** All players, those with violations first. */
export function PlayersPage() {
  const text = useText();
  const { whole } = useFormats();
  const stateWords = useStateWords();
  const [find, setFind] = useState('');
  const [flagged, setFlagged] = useState(false);
  const players = useQuery({
    queryKey: ['players', find, flagged],
    queryFn: () => api.players(find.trim(), flagged),
    refetchInterval: AGAIN_MS,
    placeholderData: (before) => before,
  });
  // A page does not tell how many follow it.
  const countOf = ({ data, nextCursor }: { data: readonly unknown[]; nextCursor: string | null }) =>
    `${whole(data.length)}${nextCursor === null ? '' : '+'}`;
  return (
    <>
      <WorldTabs
        aside={
          <>
            <label className="flex items-center gap-1.5 text-sm">
              <input type="checkbox" checked={flagged} onChange={(event) => setFlagged(event.target.checked)} className="accent-accent" />
              {text.onlyFlagged}
            </label>
            <Input type="search" label={text.findPlayer} value={find} maxLength={32} onChange={(event) => setFind(event.target.value)} />
          </>
        }
      />
      {players.isLoadingError ? (
        <Failure error={players.error} onRetry={() => void players.refetch()} />
      ) : !players.data ? (
        <Notice title={text.loading} />
      ) : (
        <Panel
          title={text.players}
          aside={
            <>
              <Outcome error={players.error} />
              <span className="text-muted text-sm">{countOf(players.data)}</span>
            </>
          }
        >
          <Table
            rows={players.data.data}
            keyOf={({ id, zone }) => `${id} ${zone}`}
            empty={find || flagged ? text.noPlayerMatches : text.noPlayers}
            columns={[
              {
                name: text.name,
                isText: true,
                by: ({ name }) => name,
                cell: ({ id, name }) => (
                  <Link href={`/worlds/players/${id}`} className="font-medium hover:text-accent">
                    {name}
                  </Link>
                ),
              },
              { name: 'id', isText: true, by: ({ id }) => id, cell: ({ id }) => <code className="text-muted text-xs">{id}</code> },
              {
                name: text.zone,
                isText: true,
                by: ({ zone }) => zone,
                cell: ({ zone }) => (
                  <Link href={`/worlds/zones/${zone}`} className="hover:text-accent">
                    {zone}
                  </Link>
                ),
              },
              {
                name: text.state,
                isText: true,
                by: ({ awake }) => Number(awake),
                cell: ({ awake }) => stateWords(awake ? text.awake : text.sleeping),
              },
              {
                name: text.violations,
                hint: text.violationsHint,
                by: ({ violations }) => violations,
                cell: ({ violations }) => <span className={violations > 0 ? 'text-warn' : 'text-muted'}>{whole(violations)}</span>,
              },
            ]}
          />
        </Panel>
      )}
    </>
  );
}
