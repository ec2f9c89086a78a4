import { Button } from '../components/button';
import { Logo } from '../components/icon';
import { MenuButton, type MenuItem } from '../components/menu';
import { selectTenant, tenant, tree } from '../state/fleet';
import { navigation, routes } from '../pages/routes';
import { preferences, setPreferences } from '../state/preferences';
import { navigate, place } from '../state/router';
import { logOut, may, me, roleName } from '../state/session';
import { useShortcut } from '../state/shortcuts';
import { initials, number } from '../text/format';
import { Jump } from './jump';

const shown = () => navigation.filter((one) => may(one.act) && routes.some((route) => route.path === one.path));

function GoKey({ path, text, letter }: { path: string; text: string; letter: string }) {
  useShortcut(`g ${letter}`, text, () => navigate(path));
  return null;
}

function TenantSwitch() {
  const all = tree.value?.tenants ?? [];
  const current = tenant.value;
  if (!current) return null;
  if (all.length < 2) return <span class="tenant one">{current.name}</span>;
  const items = (): MenuItem[] =>
    all.map((one) => ({
      text: one.name,
      hint: number(one.groups[0]?.count ?? 0),
      checked: one.id === current.id,
      run: () => {
        selectTenant(one.id);
        navigate('/dashboard');
      },
    }));
  return (
    <MenuButton class="tenant" kind="quiet" menu="Tenant" items={items}>
      <span class="tenant-name">{current.name}</span>
      <svg class="icon" viewBox="0 0 16 16" aria-hidden="true"><path d="m4 6 4 4 4-4" /></svg>
    </MenuButton>
  );
}

function Account({ onKeys }: { onKeys: () => void }) {
  const name = me.value?.name ?? '';
  const theme = preferences.value.theme;
  const pick = (value: typeof theme, text: string): MenuItem => ({ text, checked: theme === value, run: () => setPreferences({ theme: value }) });
  const items = (): MenuItem[] => [
    { kind: 'head', text: <>{name}<span class="dim small">{roleName.value}</span></> },
    { text: 'Preferences', icon: 'sliders', href: '/profile' },
    { text: 'Password', icon: 'lock', href: '/profile?part=password' },
    { text: 'Logins', icon: 'user', href: '/profile?part=logins' },
    { text: 'API tokens', icon: 'key', href: '/profile?part=tokens' },
    { kind: 'line' },
    pick('system', 'Colours of the system'),
    pick('light', 'Light'),
    pick('dark', 'Dark'),
    { kind: 'line' },
    { text: 'Keys', icon: 'info', hint: <kbd>?</kbd>, run: onKeys },
    { text: 'Log out', icon: 'out', run: () => void logOut() },
  ];
  return (
    <MenuButton class="avatar" kind="quiet" menu="Account" align="end" items={items} label={`${name}, ${roleName.value}: account menu`}>
      {initials(name)}
    </MenuButton>
  );
}

export function Top({ onDrawer, onKeys }: { onDrawer: (() => void) | null; onKeys: () => void }) {
  const pages = shown();
  const isHere = (path: string) => place.value.path === path || place.value.path.startsWith(`${path}/`) || (path === '/dashboard' && place.value.path.startsWith('/gateways/'));
  const navItems = (): MenuItem[] => pages.map((one) => ({ text: one.text, href: one.path, checked: isHere(one.path) }));
  return (
    <header class="top">
      {onDrawer && <Button class="only-narrow" kind="quiet" icon="menu" label="Gateway tree" onClick={onDrawer} />}
      <a class="brand" href="/" aria-label="amm, start page">
        <Logo />
        <span>amm</span>
      </a>
      <TenantSwitch />
      <nav class="nav" aria-label="Main">
        {pages.map((one) => (
          <a key={one.path} href={one.path} aria-current={isHere(one.path) ? 'page' : undefined}>
            {one.text}
            <GoKey path={one.path} text={one.text} letter={one.key} />
          </a>
        ))}
      </nav>
      <span class="nav-narrow">
        <MenuButton kind="quiet" menu="Pages" items={navItems}>
          Pages
          <svg class="icon" viewBox="0 0 16 16" aria-hidden="true"><path d="m4 6 4 4 4-4" /></svg>
        </MenuButton>
      </span>
      <Jump pages={pages} />
      <Account onKeys={onKeys} />
    </header>
  );
}
