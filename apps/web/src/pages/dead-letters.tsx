import type { DeadLetter } from '@millrace/contracts';
import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query';
import { useState } from 'react';
import { api } from '../api.ts';
import { Audited } from '../parts/audited.tsx';
import { Button, Outcome, Panel } from '../parts/controls.tsx';
import { Failure } from '../parts/notice.tsx';
import { useFormats } from '../parts/numbers.ts';
import { Table } from '../parts/table.tsx';
import { useText } from '../text/text.ts';

const DEAD_LETTERS_MS = 5_000;

export const useDeadLetters = () => useQuery({ queryKey: ['dead-letters'], queryFn: api.deadLetters, refetchInterval: DEAD_LETTERS_MS });

/** Events that consumer groups could not process, with their content; each can be replayed or removed. */
export function DeadLetters() {
  const text = useText();
  const { whole, when } = useFormats();
  const [open, setOpen] = useState<DeadLetter | null>(null);
  const deadLetters = useDeadLetters();
  return (
    <Panel
      title={text.deadLetters}
      aside={
        deadLetters.data && (
          <>
            <Outcome error={deadLetters.error} />
            <span className="text-muted text-sm">{whole(deadLetters.data.length)}</span>
          </>
        )
      }
    >
      {deadLetters.isLoadingError ? (
        <Failure error={deadLetters.error} onRetry={() => void deadLetters.refetch()} />
      ) : (
        <Table
          rows={deadLetters.data ?? []}
          keyOf={({ group, id }) => `${group} ${id}`}
          empty={deadLetters.data ? text.noDeadLetters : text.loading}
          columns={[
            { name: text.time, isText: true, cell: ({ createdAt }) => when(createdAt) },
            { name: text.group, isText: true, cell: ({ group }) => group },
            { name: text.zone, isText: true, cell: ({ zone }) => zone },
            { name: text.afterEvent, cell: ({ seq }) => whole(seq) },
            {
              name: text.reason,
              isText: true,
              cell: ({ reason }) => (
                <span className="block max-w-64 truncate" title={reason}>
                  {reason}
                </span>
              ),
            },
            {
              name: ' ',
              cell: (deadLetter) => (
                <Button onClick={() => setOpen(open?.id === deadLetter.id && open.group === deadLetter.group ? null : deadLetter)}>
                  {text.inspect}
                </Button>
              ),
            },
          ]}
        />
      )}
      {open && <DeadLetterPanel key={`${open.group} ${open.id}`} deadLetter={open} onDone={() => setOpen(null)} />}
    </Panel>
  );
}

/** One dead letter: its events, which can be edited, and its replay. */
function DeadLetterPanel({ deadLetter, onDone }: { deadLetter: DeadLetter; onDone: () => void }) {
  const text = useText();
  const { whole } = useFormats();
  const queries = useQueryClient();
  const { group, id } = deadLetter;
  const content = useQuery({ queryKey: ['dead-letter', group, id], queryFn: () => api.deadLetter(group, id) });
  const [draft, setDraft] = useState<{ seq: number; text: string } | null>(null);
  const replay = useMutation({
    mutationFn: () => api.replayDeadLetter(group, id),
    onSuccess: () => {
      void queries.invalidateQueries({ queryKey: ['dead-letters'] });
      onDone();
    },
  });
  if (content.isLoadingError) return <Failure error={content.error} onRetry={() => void content.refetch()} />;
  return (
    <div className="grid gap-3 border-line border-t px-4 py-3 text-sm">
      <p className="text-warn">{deadLetter.reason}</p>
      {content.data?.events.map(({ seq, type, data }) => {
        const isOpen = draft?.seq === seq;
        return (
          <div key={seq} className="grid gap-2 rounded-md bg-raised p-3">
            <div className="flex items-center gap-3">
              <span className="text-muted">{whole(seq)}</span>
              <span className="font-medium">{type}</span>
              <Button isLocal className="ml-auto" onClick={() => setDraft(isOpen ? null : { seq, text: JSON.stringify(data, null, 2) })}>
                {isOpen ? text.cancel : text.edit}
              </Button>
            </div>
            {!isOpen ? (
              <pre className="max-h-48 overflow-auto text-xs">{JSON.stringify(data, null, 2)}</pre>
            ) : (
              <Audited
                label={text.editDeadLetter}
                act={(audit) => api.editDeadLetter(group, id, { seq, data: JSON.parse(draft.text), ...audit })}
                onDone={() => {
                  setDraft(null);
                  void content.refetch();
                }}
              >
                <textarea
                  aria-label={`${type} ${seq}`}
                  value={draft.text}
                  rows={Math.min(14, draft.text.split('\n').length)}
                  onChange={(event) => setDraft({ seq, text: event.target.value })}
                  className="w-full rounded border border-edge bg-ground p-2 font-mono text-xs"
                />
              </Audited>
            )}
          </div>
        );
      })}
      <div className="flex flex-wrap items-center gap-3">
        <Button tone="main" disabled={replay.isPending} onClick={() => replay.mutate()}>
          {text.replay}
        </Button>
        <Outcome error={replay.error} />
      </div>
    </div>
  );
}
