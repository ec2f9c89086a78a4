import { findGroup, pathOfGroup } from '../state/fleet';
import { may, type Act } from '../state/session';

/** In a branch of the tree. The server decides; this only says which buttons make sense. */
export function mayIn(act: Act, group: string | null): boolean {
  if (group === null) return may(act);
  return may(act, findGroup(group)?.tenant.id, pathOfGroup(group).map((one) => one.id));
}
