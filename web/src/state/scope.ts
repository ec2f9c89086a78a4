// What the tree's selection is: a group (?group= of the page) or a gateway (its page). It scopes every panel.

import { computed, signal } from '@preact/signals';
import { findGroup, tenant } from './fleet';
import { match, navigate, place, setQuery } from './router';

/** Group of the gateway whose page is open; the page says it. */
export const gatewayGroup = signal<string | null>(null);

export const selectedGateway = computed(() => match('/gateways/:id', place.value.path)?.['id'] ?? null);

/** The group that is selected; the tenant's own if none is. null: no tree yet. */
export const scopeGroup = computed<string | null>(() => {
  const named = place.value.query.get('group');
  if (named !== null && (findGroup(named) || !tenant.value)) return named;
  return tenant.value?.groups[0]?.id ?? null;
});

export const scopeName = computed(() => {
  const id = scopeGroup.value;
  return (id !== null && findGroup(id)?.group.name) || (tenant.value?.name ?? '');
});

const scoped = ['/dashboard', '/thresholds', '/operations'];

/** A page with a scope keeps being shown; any other leads to the dashboard. */
export function selectGroup(id: string): void {
  if (scoped.includes(place.value.path)) setQuery({ group: id }, 'push');
  else navigate(`/dashboard?group=${encodeURIComponent(id)}`);
}
