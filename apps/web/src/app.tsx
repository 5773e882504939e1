import type { Permission } from '@millrace/contracts';
import { type ComponentType, lazy, Suspense, useEffect, useState } from 'react';
import { Link, Redirect, Route, Switch, useLocation } from 'wouter';
import { pageAfterSignIn, useAccount, useAccountFailure, useIsLeaving } from './identity/account.ts';
import { SignInPages } from './identity/sign-in-pages.tsx';
import { useConnection, useIsLost } from './live/connection.ts';
import { useLive } from './live/live.ts';
import { ChartPage } from './pages/chart.tsx';
import { InstrumentsPage } from './pages/instruments.tsx';
import { SourcesPage } from './pages/sources.tsx';
import { ConfirmDialog } from './parts/confirm.tsx';
import { ConnectionBanner } from './parts/connection-banner.tsx';
import { ErrorBoundary } from './parts/error-boundary.tsx';
import { Logo } from './parts/logo.tsx';
import { Failure, Notice } from './parts/notice.tsx';
import { Permitted } from './parts/permitted.tsx';
import { usePreferences } from './preferences.ts';
import { filled, useText } from './text/text.ts';
import { readable, usePageTitle } from './titles.ts';

/** Loads the code of rarely used pages on demand. */
function page<Props extends object>(load: () => Promise<ComponentType<Props>>) {
  // A page that could not be loaded renders nothing: `reloadWhenReachable` is about to reload the console.
  return lazy(async () => ({ default: await load().catch(() => new Promise<never>(() => {})) }));
}
const AccountPage = page(async () => (await import('./identity/account-page.tsx')).AccountPage);
const TenantPage = page(async () => (await import('./identity/tenant-page.tsx')).TenantPage);
const EventsPage = page(async () => (await import('./pages/events.tsx')).EventsPage);
const ZonesPage = page(async () => (await import('./pages/zones.tsx')).ZonesPage);
const ZonePage = page(async () => (await import('./pages/zone.tsx')).ZonePage);
const PlayersPage = page(async () => (await import('./pages/players.tsx')).PlayersPage);
const PlayerPage = page(async () => (await import('./pages/player.tsx')).PlayerPage);
const SnapshotsPage = page(async () => (await import('./pages/snapshots.tsx')).SnapshotsPage);
const PlayPage = page(async () => (await import('./pages/play.tsx')).PlayPage);

/** Pages that need only the token in their link, and no session. */
const BY_LINK = /^\/(reset-password|verify-email)$/;

const TENANT_PAGES = /^\/tenants(\/[^/]+)?\/?$/;
const OPERATION_PAGES = /^\/(sources|events|worlds(\/(zones|players)\/[^/]+|\/players|\/snapshots)?)\/?$/;

export function App() {
  const text = useText();
  const { language } = usePreferences();
  const account = useAccount();
  const failure = useAccountFailure();
  const isLeaving = useIsLeaving();
  const [here] = useLocation();
  usePageTitle();
  useEffect(() => {
    document.documentElement.lang = language;
  }, [language]);
  if (failure) return <Failure error={failure.error} onRetry={failure.retry} />;
  if (account === undefined || isLeaving) return <Notice title={text.loading} />;
  // Links from e-mails work with and without a session.
  if (account === null || BY_LINK.test(here))
    return (
      <div className="flex min-h-dvh flex-col px-4">
        <div className="flex justify-end pt-3 text-sm">
          <Appearance />
        </div>
        <SignInPages />
      </div>
    );
  return <Console seesSources={account.permissions.includes('platform:read')} />;
}

function Console({ seesSources }: { seesSources: boolean }) {
  const text = useText();
  const connect = useLive((live) => live.connect);
  useEffect(() => connect(seesSources), [connect, seesSources]);
  const isLost = useIsLost();
  return (
    <div className="flex min-h-dvh flex-col">
      <TopBar />
      <main className={`mx-auto flex w-full max-w-[1600px] flex-1 flex-col px-3 pb-6 sm:px-6 ${isLost ? 'opacity-75 grayscale' : ''}`}>
        <ErrorBoundary>
          <Suspense fallback={<Notice title={text.loading} />}>
            <Switch>
              <Route path="/" component={InstrumentsPage} />
              <Route path="/instruments/:id">{({ id }) => <ChartPage key={id} id={readable(id)} />}</Route>
              <Route path="/account" component={AccountPage} />
              <Route path="/worlds/play">
                <Permitted to="world:play">
                  <PlayPage />
                </Permitted>
              </Route>
              <Route path={TENANT_PAGES}>
                <Permitted to="tenant:read">
                  <Route path="/tenants">{() => <TenantPage />}</Route>
                  <Route path="/tenants/:tenant">{({ tenant }) => <TenantPage key={tenant} tenant={tenant} />}</Route>
                </Permitted>
              </Route>
              <Route path={OPERATION_PAGES}>
                <Permitted to="platform:read">
                  <OperationPages />
                </Permitted>
              </Route>
              <Route path="/sign-in">{() => <Redirect to={pageAfterSignIn()} replace />}</Route>
              <Route path="/sign-up">{() => <Redirect to="/" replace />}</Route>
              <Route path="/forgot-password">{() => <Redirect to="/account" replace />}</Route>
              <Route component={NothingHere} />
            </Switch>
          </Suspense>
        </ErrorBoundary>
      </main>
      <ConfirmDialog />
    </div>
  );
}

/** Pages about things that all tenants share. */
function OperationPages() {
  return (
    <Switch>
      <Route path="/sources" component={SourcesPage} />
      <Route path="/events" component={EventsPage} />
      <Route path="/worlds" component={ZonesPage} />
      <Route path="/worlds/zones/:zone">{({ zone }) => <ZonePage key={zone} zone={zone} />}</Route>
      <Route path="/worlds/players" component={PlayersPage} />
      <Route path="/worlds/players/:id">{({ id }) => <PlayerPage key={id} id={id} />}</Route>
      <Route path="/worlds/snapshots" component={SnapshotsPage} />
      <Route component={NothingHere} />
    </Switch>
  );
}

function TopBar() {
  const text = useText();
  const account = useAccount();
  const may = (permission: Permission) => account?.permissions.includes(permission) ?? false;
  const [here] = useLocation();
  const [openAt, setOpenAt] = useState<string | null>(null);
  // Any navigation closes the menu.
  const isOpen = openAt === here;
  return (
    <header className="sticky top-0 z-20 border-line border-b bg-surface/90 backdrop-blur">
      <div className="mx-auto flex h-12 max-w-[1600px] items-center gap-1 px-3 sm:gap-4 sm:px-6">
        <Link href="/" className="flex shrink-0 items-center gap-2 pr-1 font-semibold tracking-tight">
          <Logo />
          <span className="hidden sm:inline">Millrace</span>
        </Link>
        <button
          type="button"
          aria-expanded={isOpen}
          aria-controls="pages"
          onClick={() => setOpenAt(isOpen ? null : here)}
          onKeyDown={({ key }) => key === 'Escape' && setOpenAt(null)}
          className="rounded-md px-2 py-1.5 text-sm hover:bg-raised lg:hidden"
        >
          <span aria-hidden="true">☰</span> {text.menu}
        </button>
        <nav
          id="pages"
          aria-label={text.mainMenu}
          className={`${isOpen ? 'grid' : 'hidden'} absolute inset-x-0 top-12 gap-1 border-line border-b bg-surface p-3 text-sm lg:static lg:flex lg:items-center lg:border-0 lg:bg-transparent lg:p-0`}
        >
          <Tab href="/" label={text.instruments} others={/^\/instruments\//} />
          {may('platform:read') && <Tab href="/sources" label={text.sources} />}
          {may('platform:read') ? (
            <Tab href="/worlds" label={text.world} others={/^\/worlds/} />
          ) : (
            may('world:play') && <Tab href="/worlds/play" label={text.world} others={/^\/worlds/} />
          )}
          {may('platform:read') && <Tab href="/events" label={text.events} />}
          {may('tenant:read') && account?.kind !== 'demo' && <Tab href="/tenants" label={text.users} others={/^\/tenants/} />}
          <a href="/docs" className="rounded-md px-2 py-1.5 text-muted hover:text-ink sm:px-3">
            API
          </a>
        </nav>
        <div className="ml-auto flex shrink-0 items-center text-sm sm:gap-1">
          <LiveDot />
          <Appearance />
          <AccountLink />
        </div>
      </div>
      <ConnectionBanner />
    </header>
  );
}

/** Switches of language and theme. */
function Appearance() {
  const text = useText();
  const { theme, language, toggleTheme, toggleLanguage } = usePreferences();
  return (
    <>
      <button
        type="button"
        onClick={toggleLanguage}
        className="rounded-md px-2 py-1.5 text-muted hover:text-ink"
        aria-label={text.switchLanguage}
      >
        <span className="hidden sm:inline">{language === 'en' ? '한국어' : 'English'}</span>
        <span className="sm:hidden">{language === 'en' ? '한' : 'EN'}</span>
      </button>
      <button
        type="button"
        onClick={toggleTheme}
        className="rounded-md px-2 py-1.5 text-muted hover:text-ink"
        aria-label={text.switchTheme}
      >
        {theme === 'dark' ? '☀' : '☾'}
      </button>
    </>
  );
}

function AccountLink() {
  const text = useText();
  const account = useAccount();
  const [here] = useLocation();
  const isDemo = account?.kind === 'demo';
  return (
    <Link
      href="/account"
      aria-label={text.account}
      aria-current={here === '/account' ? 'page' : undefined}
      title={isDemo ? text.demoHint : account?.name}
      className={`max-w-32 truncate rounded-md px-2 py-1.5 ${isDemo ? 'bg-warn-soft text-warn' : 'text-muted hover:text-ink'}`}
    >
      {isDemo ? text.demo : account?.name}
    </Link>
  );
}

function Tab({ href, label, others }: { href: string; label: string; others?: RegExp }) {
  const [here] = useLocation();
  const active = here === href || others?.test(here);
  return (
    <Link
      href={href}
      aria-current={active ? 'page' : undefined}
      className={`whitespace-nowrap rounded-md px-2 py-1.5 sm:px-3 ${active ? 'bg-accent-soft font-medium text-accent' : 'text-muted hover:text-ink'}`}
    >
      {label}
    </Link>
  );
}

/** Status of the connection to the server. */
function LiveDot() {
  const text = useText();
  const connected = useConnection(({ status }) => status === 'live');
  return (
    <span
      className="flex w-auto items-center gap-2 px-2 text-muted text-xs"
      role="status"
      title={connected ? text.connected : text.reconnecting}
    >
      <span className={`size-2 rounded-full ${connected ? 'bg-accent' : 'bg-warn'}`} />
      <span className="hidden md:inline">{connected ? text.connected : text.reconnecting}</span>
    </span>
  );
}

/** Page for unknown addresses, with a link to the start page. */
function NothingHere() {
  const text = useText();
  const [here] = useLocation();
  return (
    <Notice
      title={text.pageNotFound}
      hint={filled(text.pageNotFoundHint, { address: here })}
      way={{ href: '/', label: text.instruments }}
    />
  );
}
