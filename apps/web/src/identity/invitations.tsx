import type { PendingInvitation } from '@millrace/contracts';
import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query';
import { api } from '../api.ts';
import { confirmFirst } from '../parts/confirm.tsx';
import { Button } from '../parts/controls.tsx';
import { Listed } from '../parts/listed.tsx';
import { useFormats } from '../parts/numbers.ts';
import { type Column, Table } from '../parts/table.tsx';
import { filled, ROLE_TEXT, useText } from '../text/text.ts';

/** Open invitations to a tenant. */
export function Invitations({ tenant }: { tenant: string }) {
  const text = useText();
  const { moment } = useFormats();
  const queries = useQueryClient();
  const { data, error, refetch } = useQuery({ queryKey: ['invitations', tenant], queryFn: () => api.invitations(tenant) });
  const withdrawing = useMutation({
    mutationFn: (id: string) => api.deleteInvitation(tenant, id),
    onSettled: () => queries.invalidateQueries({ queryKey: ['invitations', tenant] }),
  });
  const ask = ({ id, email }: PendingInvitation) =>
    confirmFirst({
      title: text.withdraw,
      message: filled(text.askWithdraw, { name: email ?? text.anyone }),
      action: text.withdraw,
      act: () => withdrawing.mutate(id),
    });
  const columns: Column<PendingInvitation>[] = [
    { name: text.email, isText: true, by: ({ email }) => email ?? '', cell: ({ email }) => email ?? text.anyone },
    { name: text.role, isText: true, cell: ({ role }) => text[ROLE_TEXT[role]] },
    { name: text.invitedBy, isText: true, by: ({ invitedBy }) => invitedBy, cell: ({ invitedBy }) => invitedBy },
    { name: text.sinceWhen, by: ({ createdAt }) => createdAt, cell: ({ createdAt }) => moment(createdAt) },
    { name: text.expires, by: ({ expiresAt }) => expiresAt, cell: ({ expiresAt }) => moment(expiresAt) },
    { name: '', cell: (invitation) => <Button onClick={() => ask(invitation)}>{text.withdraw}</Button> },
  ];
  return (
    <Listed title={text.invitations} error={error ?? withdrawing.error} onRetry={() => void refetch()} isLoading={!data}>
      <Table rows={data ?? []} columns={columns} keyOf={({ id }) => id} empty={text.noInvitations} />
    </Listed>
  );
}
