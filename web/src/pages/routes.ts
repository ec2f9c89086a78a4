// Every page: its path, whether the tree stands beside it, and where its code is. A page's code comes when it is
// opened first. A new page adds its line here.

import type { ComponentType } from 'preact';
import type { Act } from '../state/session';

export interface PageProps {
  params: Readonly<Record<string, string>>;
}

export interface Route {
  path: string; // "/gateways/:id"
  title: string;
  /** The gateway tree stands on the left, and its selection (?group=) scopes the page. */
  hasTree: boolean;
  load: () => Promise<{ default: ComponentType<PageProps> }>;
}

export const routes: readonly Route[] = [
  { path: '/gateways/:id', title: 'Gateway', hasTree: true, load: () => import('./gateway/page') },
  { path: '/operations', title: 'Operations', hasTree: true, load: () => import('./operations') },
  { path: '/dashboard', title: 'Dashboard', hasTree: true, load: () => import('./dashboard/dashboard') },
  { path: '/thresholds', title: 'Thresholds', hasTree: true, load: () => import('./thresholds/thresholds') },
  { path: '/tunnels', title: 'Tunnels', hasTree: false, load: () => import('./tunnels/tunnels') },
  { path: '/tunnels/refused', title: 'Refused joins', hasTree: false, load: () => import('./tunnels/refused') },
  { path: '/add', title: 'Add gateway', hasTree: false, load: () => import('./add/add') },
  { path: '/admin', title: 'Admin', hasTree: false, load: () => import('./admin/admin') },
  { path: '/admin/imports', title: 'Spreadsheet upload', hasTree: false, load: () => import('./imports/imports') },
  { path: '/admin/imports/:id', title: 'Spreadsheet upload', hasTree: false, load: () => import('./imports/import') },
  { path: '/admin/groups', title: 'Groups', hasTree: false, load: () => import('./admin/groups') },
  { path: '/admin/users', title: 'Users', hasTree: false, load: () => import('./admin/users') },
  { path: '/admin/tokens', title: 'API tokens', hasTree: false, load: () => import('./admin/tokens') },
  { path: '/admin/audit', title: 'Audit log', hasTree: false, load: () => import('./admin/audit') },
  { path: '/admin/tenants', title: 'Tenants', hasTree: false, load: () => import('./admin/tenants') },
  { path: '/admin/backup', title: 'Backup', hasTree: false, load: () => import('./admin/backup') },
  { path: '/profile', title: 'Profile', hasTree: false, load: () => import('./profile') },
];

export interface NavEntry {
  text: string;
  path: string;
  /** "g" and then this. */
  key: string;
  /** Shown to those who may do this somewhere. */
  act: Act;
}

/** The top bar, in this order; an entry is shown once its page is in `routes`. */
export const navigation: readonly NavEntry[] = [
  { text: 'Dashboard', path: '/dashboard', key: 'd', act: 'view' },
  { text: 'Thresholds', path: '/thresholds', key: 'h', act: 'view' },
  { text: 'Operations', path: '/operations', key: 'o', act: 'view' },
  { text: 'Tunnels', path: '/tunnels', key: 't', act: 'view' },
  { text: 'Admin', path: '/admin', key: 'a', act: 'admin' },
];

/** Where "/" leads. */
export const home = '/dashboard';
