import { Button } from '../components/button';
import { EmptyState } from '../components/states';
import { usePageTitle } from '../state/title';

/** For a path nobody has, and for what one may not see: the server does not tell the two apart. */
export function NotFound({ what, gateway }: { what: string; gateway?: boolean }) {
  usePageTitle('Not found');
  return (
    <div class="head-less">
      <h1 class="vh">Not found</h1>
      <EmptyState
        icon="search"
        title={gateway ? 'There is no such gateway' : 'There is no such page'}
        actions={<Button href="/">Go to the start page</Button>}
      >
        {gateway
          ? 'It was removed, or it belongs to a branch that you may not see. An administrator of the branch can tell.'
          : `Nothing is at ${what}. The link may be old, or a letter is missing.`}
      </EmptyState>
    </div>
  );
}
