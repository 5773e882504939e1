import { ALL_ROLES, type AuditEntry, type Invitation, type Role, type Tenant, TIERS, type Tier, type User } from '@millrace/contracts';
import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query';
import { type SelectHTMLAttributes, useState } from 'react';
import { Link } from 'wouter';
import { api } from '../api.ts';
import { useIsLost } from '../live/connection.ts';
import { confirmFirst } from '../parts/confirm.tsx';
import { Button } from '../parts/controls.tsx';
import { Copy } from '../parts/copy.tsx';
import { Listed } from '../parts/listed.tsx';
import { Notice } from '../parts/notice.tsx';
import { useFormats } from '../parts/numbers.ts';
import { type Column, Table } from '../parts/table.tsx';
import { filled, ROLE_TEXT, useText } from '../text/text.ts';
import { useAccount, useMay } from './account.ts';
import { Field, Form } from './form.tsx';
import { Invitations } from './invitations.tsx';

/** Users and audit log of a tenant. Administrators of the installation also see the other tenants. */
export function TenantPage({ tenant }: { tenant?: string }) {
  const text = useText();
  const account = useAccount();
  const isAdmin = useMay('platform:admin');
  const mayManage = useMay('tenant:manage');
  if (!account) return <Notice title={text.loading} />;
  if (account.kind === 'demo') return <Notice title={text.demo} hint={text.demoHint} />;
  const tenantId = tenant ?? account.tenant;
  return (
    <>
      <h1 className="py-4 font-semibold text-lg">
        {text.users} <span className="font-normal text-muted">{tenantId}</span>
      </h1>
      <div className="grid gap-3">
        <Users tenant={tenantId} />
        {mayManage && <Invitations tenant={tenantId} />}
        {isAdmin && <Tenants />}
        <Audit tenant={tenantId} />
      </div>
    </>
  );
}

function Select({ label, className = '', ...rest }: SelectHTMLAttributes<HTMLSelectElement> & { label: string }) {
  const isLost = useIsLost();
  return (
    <select
      aria-label={label}
      disabled={isLost}
      className={`rounded-md border border-edge bg-ground px-2 py-1 text-sm disabled:opacity-50 ${className}`}
      {...rest}
    />
  );
}

function Users({ tenant }: { tenant: string }) {
  const text = useText();
  const { moment } = useFormats();
  const queries = useQueryClient();
  const again = () => queries.invalidateQueries({ queryKey: ['users', tenant] });
  const [invitation, setInvitation] = useState<Invitation | null>(null);
  const { data, error, refetch } = useQuery({ queryKey: ['users', tenant], queryFn: () => api.users(tenant) });
  const changing = useMutation({
    mutationFn: ({ id, ...change }: { id: string; role?: Role; disabled?: boolean }) => api.updateUser(tenant, id, change),
    onSettled: again,
  });
  const resetting = useMutation({
    mutationFn: async ({ id, name }: { id: string; name: string }) => ({ name, ...(await api.createResetLink(tenant, id)) }),
  });
  const askRole = (id: string, name: string, before: Role, after: Role) =>
    confirmFirst({
      title: `${text.changeRole}: ${name}`,
      message: filled(text.askRole, { name, before: text[ROLE_TEXT[before]], after: text[ROLE_TEXT[after]] }),
      action: text.changeRole,
      act: () => changing.mutate({ id, role: after }),
    });
  const askKeepOut = (id: string, name: string) =>
    confirmFirst({
      title: `${text.disableUser}: ${name}`,
      message: filled(text.askDisableUser, { name }),
      action: text.disableUser,
      act: () => changing.mutate({ id, disabled: true }),
    });
  const columns: Column<User>[] = [
    { name: text.name, isText: true, cell: ({ name }) => name, by: ({ name }) => name },
    { name: text.email, isText: true, cell: ({ email }) => email, by: ({ email }) => email },
    {
      name: text.role,
      isText: true,
      cell: ({ id, role, name }) => (
        <Select label={`${text.role}: ${name}`} value={role} onChange={(event) => askRole(id, name, role, event.target.value as Role)}>
          <Roles />
        </Select>
      ),
    },
    {
      name: text.twoFactor,
      isText: true,
      cell: ({ twoFactorEnabled, passkeys }) =>
        [...(twoFactorEnabled ? [text.on] : []), ...(passkeys > 0 ? [text.passkey] : [])].join(', ') || text.off,
    },
    { name: text.sinceWhen, cell: ({ createdAt }) => moment(createdAt), by: ({ createdAt }) => createdAt },
    {
      name: '',
      cell: ({ id, name, disabled }) => (
        <span className="flex flex-wrap justify-end gap-2">
          {!disabled && (
            <Button aria-label={`${text.resetPassword}: ${name}`} onClick={() => resetting.mutate({ id, name })}>
              {text.resetPassword}
            </Button>
          )}
          <Button
            tone={disabled ? 'plain' : 'grave'}
            onClick={() => (disabled ? changing.mutate({ id, disabled: false }) : askKeepOut(id, name))}
          >
            {disabled ? text.enableUser : text.disableUser}
          </Button>
        </span>
      ),
    },
  ];
  return (
    <Listed title={text.users} error={error ?? changing.error ?? resetting.error} onRetry={() => void refetch()} isLoading={!data}>
      <Table rows={data ?? []} columns={columns} keyOf={({ id }) => id} isMarked={({ disabled }) => disabled} empty={text.nothing} />
      <div className="grid gap-3 border-line border-t p-4">
        {resetting.data && (
          <Link_ link={resetting.data.link} hint={`${resetting.data.name}: ${text.resetLinkHint} ${moment(resetting.data.expiresAt)}`} />
        )}
        {invitation && <Link_ link={invitation.link} hint={text.invitationHint} />}
        <Form
          action={text.invite}
          act={async ({ email = '', role = '' }) => {
            setInvitation(await api.createInvitation(tenant, { role: role as Role, ...(email !== '' && { email }) }));
            await queries.invalidateQueries({ queryKey: ['invitations', tenant] });
          }}
        >
          <div className="flex flex-wrap items-end gap-3">
            <Field label={`${text.email} (${text.optional})`} name="email" type="email" className="flex-1" />
            <Select label={text.role} name="role" defaultValue="viewer" className="py-2">
              <Roles />
            </Select>
          </div>
        </Form>
      </div>
    </Listed>
  );
}

function Roles() {
  const text = useText();
  return ALL_ROLES.map((role) => (
    <option key={role} value={role}>
      {text[ROLE_TEXT[role]]}
    </option>
  ));
}

function Link_({ link, hint }: { link: string; hint: string }) {
  return (
    <div className="rounded-md border border-accent bg-accent-soft p-3 text-sm">
      <p>{hint}</p>
      <p className="mt-1 break-all font-mono" data-link>
        {link}
      </p>
      <div className="mt-2">
        <Copy value={link} />
      </div>
    </div>
  );
}

function Tenants() {
  const text = useText();
  const { moment, whole } = useFormats();
  const queries = useQueryClient();
  const [invitation, setInvitation] = useState<Invitation | null>(null);
  const again = () => queries.invalidateQueries({ queryKey: ['tenants'] });
  const { data, error, refetch } = useQuery({ queryKey: ['tenants'], queryFn: api.tenants });
  const changing = useMutation({
    mutationFn: ({ id, tier }: { id: string; tier: Tier }) => api.updateTenant(id, { tier }),
    onSettled: again,
  });
  const askTier = (id: string, before: Tier, after: Tier) =>
    confirmFirst({
      title: `${text.changeTier}: ${id}`,
      message: filled(text.askTier, { name: id, before, after }),
      action: text.changeTier,
      act: () => changing.mutate({ id, tier: after }),
    });
  const tiers = Object.keys(TIERS).map((tier) => (
    <option key={tier} value={tier}>
      {tier}
    </option>
  ));
  const columns: Column<Tenant>[] = [
    {
      name: text.tenant,
      isText: true,
      cell: ({ id, name }) => (
        <Link href={`/tenants/${id}`} className="text-accent hover:underline">
          {name} <span className="text-muted">{id}</span>
        </Link>
      ),
      by: ({ id }) => id,
    },
    {
      name: text.tier,
      isText: true,
      cell: ({ id, tier }) => (
        <Select label={`${text.tier}: ${id}`} value={tier} onChange={(event) => askTier(id, tier, event.target.value as Tier)}>
          {tiers}
        </Select>
      ),
    },
    { name: text.users, cell: ({ users }) => whole(users), by: ({ users }) => users },
    { name: text.sinceWhen, cell: ({ createdAt }) => moment(createdAt), by: ({ createdAt }) => createdAt },
  ];
  return (
    <Listed title={text.tenants} error={error ?? changing.error} onRetry={() => void refetch()} isLoading={!data}>
      <Table rows={data ?? []} columns={columns} keyOf={({ id }) => id} empty={text.nothing} />
      <div className="grid gap-3 border-line border-t p-4">
        {invitation && <Link_ link={invitation.link} hint={text.invitationHint} />}
        <Form
          action={text.createTenant}
          act={async ({ id = '', name = '', tier = '' }) => {
            setInvitation((await api.createTenant({ id, name, tier: tier as Tier })).invitation);
            await again();
          }}
        >
          <div className="flex flex-wrap items-end gap-3">
            <Field label={text.tenantId} name="id" required pattern="[a-z0-9][a-z0-9\-]{0,31}" />
            <Field label={text.name} name="name" required maxLength={64} className="flex-1" />
            <Select label={text.tier} name="tier" defaultValue="free" className="py-2">
              {tiers}
            </Select>
          </div>
        </Form>
      </div>
    </Listed>
  );
}

function Audit({ tenant }: { tenant: string }) {
  const text = useText();
  const { moment, whole } = useFormats();
  const { data, error, refetch } = useQuery({ queryKey: ['audit', tenant], queryFn: () => api.audit(tenant) });
  const columns: Column<AuditEntry>[] = [
    { name: '#', cell: ({ number }) => number },
    { name: text.time, cell: ({ occurredAt }) => moment(occurredAt) },
    { name: text.actor, isText: true, cell: ({ actor, user }) => <span title={user ?? undefined}>{actor}</span> },
    { name: text.action, isText: true, cell: ({ action }) => action },
    { name: text.subject, isText: true, wraps: true, cell: ({ subject }) => subject },
    {
      name: text.details,
      isText: true,
      wraps: true,
      cell: ({ detail }) => <code className="text-muted text-xs">{JSON.stringify(detail)}</code>,
    },
    { name: text.address, isText: true, cell: ({ remote }) => remote },
  ];
  const verifying = useMutation({ mutationFn: () => api.verifyAudit(tenant) });
  const verdict = verifying.data;
  const aside = (
    <>
      {verdict && (
        <span className={`text-xs ${verdict.firstInvalid === null ? 'text-accent' : 'text-warn'}`} role="status">
          {verdict.firstInvalid === null
            ? text.chainValid.replace('{n}', whole(verdict.entries))
            : text.chainBroken.replace('{n}', whole(verdict.firstInvalid))}
        </span>
      )}
      <Button disabled={verifying.isPending} onClick={() => verifying.mutate()}>
        {text.verify}
      </Button>
      <a href={api.auditExport(tenant)} download className="rounded-md border border-line px-3 py-1 text-sm hover:border-accent">
        {text.exportAll}
      </a>
    </>
  );
  return (
    <Listed title={text.audit} aside={aside} error={error ?? verifying.error} onRetry={() => void refetch()} isLoading={!data}>
      <Table rows={data ?? []} columns={columns} keyOf={({ number }) => String(number)} empty={text.nothing} />
    </Listed>
  );
}
