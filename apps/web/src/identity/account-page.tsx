import { type Account, type ApiKey, type NewApiKey, PERMISSIONS, type Permission, type Usage, type UserSession } from '@millrace/contracts';
import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query';
import { useState } from 'react';
import { encode } from 'uqr';
import { api } from '../api.ts';
import { serverNow } from '../live/server-clock.ts';
import { confirmFirst } from '../parts/confirm.tsx';
import { Button, Outcome, Panel } from '../parts/controls.tsx';
import { Copy } from '../parts/copy.tsx';
import { Listed } from '../parts/listed.tsx';
import { Notice } from '../parts/notice.tsx';
import { useFormats } from '../parts/numbers.ts';
import { StatTile } from '../parts/stat-tile.tsx';
import { type Column, Table } from '../parts/table.tsx';
import { filled, ROLE_TEXT, useText } from '../text/text.ts';
import { useAccount, useSignOut } from './account.ts';
import { Field, Form } from './form.tsx';
import { Passkeys } from './passkeys.tsx';
import { NewPassword, Password } from './password.tsx';

const DAY_MS = 86_400_000;
const USAGE_MS = 5_000;
const EMPTY_USAGE: Usage = {
  requests: { perSecond: 0, burst: 1, remaining: 1 },
  streams: { open: 0, limit: 1 },
  keys: { made: 0, limit: 1 },
};

/** The user’s own account: profile, sign-in methods, sessions, API keys. */
export function AccountPage() {
  const text = useText();
  const account = useAccount();
  const { signOut, error } = useSignOut();
  if (!account) return <Notice title={text.loading} />;
  return (
    <>
      <div className="flex flex-wrap items-center gap-3 py-4">
        <h1 className="font-semibold text-lg">{text.account}</h1>
        {account.kind !== 'demo' && (
          <div className="ml-auto flex items-center gap-3">
            <Outcome error={error} />
            <Button onClick={signOut}>{text.signOut}</Button>
          </div>
        )}
      </div>
      <div className="grid items-start gap-3 lg:grid-cols-2">
        <div className="grid min-w-0 gap-3">
          <Who account={account} />
          {account.kind === 'session' && (
            <>
              <Sessions />
              <ChangePassword />
            </>
          )}
        </div>
        {account.kind === 'session' && (
          <div className="grid min-w-0 gap-3">
            <TwoFactor account={account} />
            <Passkeys />
          </div>
        )}
      </div>
      {account.kind === 'session' && (
        <div className="mt-3">
          <Keys account={account} />
        </div>
      )}
    </>
  );
}

function Who({ account }: { account: Account }) {
  const text = useText();
  const { whole } = useFormats();
  return (
    <Panel title={account.kind === 'demo' ? text.demo : account.name}>
      <dl className="grid grid-cols-2 gap-x-6 gap-y-3 px-4 pb-4 sm:grid-cols-3">
        {account.email && <StatTile name={text.email} value={account.email} />}
        <StatTile name={text.tenant} value={account.tenant} />
        <StatTile name={text.role} value={text[ROLE_TEXT[account.role]]} />
        <StatTile name={text.tier} value={account.tier} />
        {account.kind === 'demo' && <StatTile name={text.requestsPerSecond} value={whole(account.limits.requestsPerSecond)} />}
        {account.kind === 'demo' && <StatTile name={text.openStreams} value={whole(account.limits.streams)} />}
      </dl>
      {account.kind !== 'demo' && <UsageMeters />}
      {account.twoFactorRequired && (
        <p role="alert" className="mx-4 mb-4 rounded-md bg-warn-soft px-3 py-2 text-sm text-warn">
          {text.twoFactorNeeded.replace('{role}', text[ROLE_TEXT[account.role]])}
        </p>
      )}
      {account.kind === 'demo' && <p className="px-4 pb-4 text-muted text-sm">{text.demoHint}</p>}
    </Panel>
  );
}

/** Current use of the account’s limits. */
function UsageMeters() {
  const text = useText();
  const { whole } = useFormats();
  const { data } = useQuery({ queryKey: ['usage'], queryFn: api.usage, refetchInterval: USAGE_MS });
  const { requests, streams, keys } = data ?? EMPTY_USAGE;
  const meters = [
    { name: text.requestsPerSecond, used: requests.burst - requests.remaining, of: requests.burst, label: `${whole(requests.perSecond)}` },
    { name: text.openStreams, used: streams.open, of: streams.limit, label: `${whole(streams.open)} / ${whole(streams.limit)}` },
    { name: text.apiKeys, used: keys.made, of: keys.limit, label: `${whole(keys.made)} / ${whole(keys.limit)}` },
  ];
  return (
    <dl className="grid gap-3 px-4 pb-4 sm:grid-cols-3">
      {meters.map(({ name, used, of, label }) => (
        <div key={name}>
          <dt className="flex justify-between gap-2 text-muted text-xs">
            {name} <span className="text-ink">{data ? label : '–'}</span>
          </dt>
          <dd className="mt-1.5 h-1 overflow-hidden rounded-full bg-line">
            <div
              className={`h-full rounded-full ${used / of > 0.8 ? 'bg-warn' : 'bg-accent'}`}
              style={{ width: `${Math.min(100, (used / Math.max(1, of)) * 100)}%` }}
            />
          </dd>
        </div>
      ))}
    </dl>
  );
}

function TwoFactor({ account }: { account: Account }) {
  const text = useText();
  const queries = useQueryClient();
  const [setup, setSetup] = useState<{ uri: string; recoveryCodes: string[] } | null>(null);
  const again = () => queries.invalidateQueries({ queryKey: ['account'] });
  return (
    <Panel
      title={text.twoFactor}
      aside={
        <span className={account.twoFactorEnabled ? 'text-accent text-sm' : 'text-muted text-sm'}>
          {account.twoFactorEnabled ? text.on : text.off}
        </span>
      }
    >
      <div className="grid gap-4 px-4 pb-4 text-sm">
        {setup ? (
          <>
            <p className="text-muted">{text.scanThis}</p>
            <div className="flex flex-wrap gap-5">
              <QrCode content={setup.uri} />
              <div className="min-w-0">
                <p className="text-muted text-xs">{text.recoveryCodes}</p>
                <ul className="mt-1 grid grid-cols-2 gap-x-5 font-mono">
                  {setup.recoveryCodes.map((code) => (
                    <li key={code}>{code}</li>
                  ))}
                </ul>
                <div className="mt-2">
                  <Copy value={setup.recoveryCodes.join('\n')} />
                </div>
              </div>
            </div>
            <p className="break-all font-mono text-muted text-xs">{new URL(setup.uri).searchParams.get('secret')}</p>
            <Form
              action={text.turnOn}
              act={async ({ code = '' }) => {
                await api.confirmTwoFactor(code.trim());
                setSetup(null);
                await again();
              }}
            >
              <Field label={text.code} name="code" required inputMode="numeric" autoComplete="one-time-code" minLength={6} maxLength={6} />
            </Form>
          </>
        ) : (
          <>
            <p className="text-muted">{account.twoFactorEnabled ? text.twoFactorIsOn : text.twoFactorIsOff}</p>
            <Form
              action={account.twoFactorEnabled ? text.turnOff : text.setUp}
              act={async ({ password = '' }) => {
                if (account.twoFactorEnabled) await api.disableTwoFactor(password).then(again);
                else setSetup(await api.enableTwoFactor(password));
              }}
            >
              <Password label={text.password} name="password" required autoComplete="current-password" />
            </Form>
          </>
        )}
      </div>
    </Panel>
  );
}

function QrCode({ content }: { content: string }) {
  const text = useText();
  const { data, size } = encode(content, { border: 2 });
  const dark = data.flatMap((row, y) => row.map((isDark, x) => (isDark ? `M${x} ${y}h1v1h-1z` : ''))).join('');
  return (
    <svg
      viewBox={`0 0 ${size} ${size}`}
      className="size-44 rounded-md bg-white"
      role="img"
      aria-label={text.qrCode}
      shapeRendering="crispEdges"
    >
      <path d={dark} fill="#000" />
    </svg>
  );
}

function ChangePassword() {
  const text = useText();
  return (
    <Panel title={text.changePassword}>
      <div className="px-4 pb-4">
        <Form
          action={text.save}
          act={({ current = '', next = '', endKeys }) => api.changePassword(current, next, endKeys !== undefined)}
          done={text.passwordChanged}
        >
          <Password label={text.currentPassword} name="current" required autoComplete="current-password" />
          <NewPassword label={text.newPassword} />
          <div className="grid gap-1 text-sm">
            <label className="flex items-center gap-1.5">
              <input type="checkbox" name="endKeys" className="size-4 accent-(--accent)" />
              {text.endKeysToo}
            </label>
            <p className="text-muted text-xs">{text.revokedKeys}</p>
          </div>
        </Form>
      </div>
    </Panel>
  );
}

function Sessions() {
  const text = useText();
  const { moment } = useFormats();
  const queries = useQueryClient();
  const { data, error, refetch } = useQuery({ queryKey: ['sessions'], queryFn: api.sessions });
  const ending = useMutation({ mutationFn: api.deleteSession, onSuccess: () => queries.invalidateQueries({ queryKey: ['sessions'] }) });
  const columns: Column<UserSession>[] = [
    { name: text.browser, isText: true, cell: ({ agent }) => <span title={agent}>{browserOf(agent)}</span> },
    { name: text.address, isText: true, cell: ({ remote }) => remote },
    { name: text.sinceWhen, cell: ({ createdAt }) => moment(createdAt) },
    {
      name: '',
      cell: ({ id, isThis, agent, remote }) =>
        isThis ? (
          <span className="text-accent">{text.thisOne}</span>
        ) : (
          <Button
            onClick={() =>
              confirmFirst({
                title: text.end,
                message: filled(text.askEndSession, { name: `${browserOf(agent)} (${remote})` }),
                action: text.end,
                act: () => ending.mutate(id),
              })
            }
          >
            {text.end}
          </Button>
        ),
    },
  ];
  return (
    <Listed title={text.sessions} error={error ?? ending.error} onRetry={() => void refetch()} isLoading={!data}>
      <Table rows={data ?? []} columns={columns} keyOf={({ id }) => id} empty={text.nothing} />
    </Listed>
  );
}

/** Browser and operating system of a user agent, if recognized; else its first characters. */
function browserOf(agent: string): string {
  const browser = /(Edg|OPR|Firefox|HeadlessChrome|Chrome|Safari)\/(\d+)/.exec(agent);
  const system = /Windows|Android|iPhone|iPad|Mac OS X|Linux/.exec(agent)?.[0];
  return browser ? `${browser[1]} ${browser[2]}${system ? `, ${system}` : ''}` : agent.slice(0, 24);
}

function Keys({ account }: { account: Account }) {
  const text = useText();
  const { moment } = useFormats();
  const queries = useQueryClient();
  const [made, setMade] = useState<NewApiKey | null>(null);
  const { data, error, refetch } = useQuery({ queryKey: ['keys'], queryFn: api.keys });
  const again = () => queries.invalidateQueries({ queryKey: ['keys'] });
  const revoking = useMutation({ mutationFn: api.revokeApiKey, onSuccess: again });
  const columns: Column<ApiKey>[] = [
    { name: text.name, isText: true, cell: ({ name }) => name },
    { name: text.key, isText: true, cell: ({ start }) => <code>{start}…</code> },
    { name: text.scopes, isText: true, wraps: true, cell: ({ scopes }) => scopes.join(', ') },
    { name: text.lastUsed, cell: ({ lastUsedAt }) => (lastUsedAt === null ? text.never : moment(lastUsedAt)) },
    { name: text.expires, cell: ({ expiresAt }) => (expiresAt === null ? text.never : moment(expiresAt)) },
    {
      name: '',
      cell: ({ id, name, start }) => (
        <Button
          onClick={() =>
            confirmFirst({
              title: `${text.revoke}: ${name}`,
              message: filled(text.askRevokeKey, { name, start }),
              action: text.revoke,
              act: () => revoking.mutate(id),
            })
          }
        >
          {text.revoke}
        </Button>
      ),
    },
  ];
  return (
    <Listed title={text.apiKeys} error={error ?? revoking.error} onRetry={() => void refetch()} isLoading={!data}>
      {made && (
        <div className="mx-4 mb-3 rounded-md border border-accent bg-accent-soft p-3 text-sm">
          <p>{text.keyShownOnce}</p>
          <p className="mt-1 break-all font-mono" data-key>
            {made.key}
          </p>
          <div className="mt-2">
            <Copy value={made.key} />
          </div>
        </div>
      )}
      <Table rows={data ?? []} columns={columns} keyOf={({ id }) => id} empty={text.noKeys} />
      <div className="border-line border-t p-4">
        <Form
          action={text.makeKey}
          act={async ({ name = '', days = '', ...rest }) => {
            const scopes = Object.keys(rest).filter((scope): scope is Permission => scope in PERMISSIONS);
            const expiresAt = days === '' ? undefined : serverNow() + Number(days) * DAY_MS;
            setMade(await api.createApiKey({ name, scopes, ...(expiresAt !== undefined && { expiresAt }) }));
            await again();
          }}
        >
          <div className="grid gap-3 sm:grid-cols-2">
            <Field label={text.name} name="name" required maxLength={64} />
            <Field label={text.daysValid} name="days" type="number" min={1} max={365} />
          </div>
          <fieldset className="flex flex-wrap gap-x-5 gap-y-2 text-sm">
            <legend className="mb-1 text-muted text-xs">{text.scopes}</legend>
            {account.permissions.map((permission) => (
              <label key={permission} className="flex items-center gap-1.5" title={PERMISSIONS[permission].description}>
                <input type="checkbox" name={permission} defaultChecked={permission === 'market:read'} className="accent-(--accent)" />
                {permission}
              </label>
            ))}
          </fieldset>
        </Form>
      </div>
    </Listed>
  );
}
