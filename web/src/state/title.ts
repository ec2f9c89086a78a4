import { useEffect } from 'preact/hooks';
import { moves } from './router';
import { announce } from './messages';

/** Title of the window; read out after a move to another page. */
export function usePageTitle(title: string): void {
  useEffect(() => {
    document.title = `${title}, amm`;
    if (moves.value > 0) announce(title);
  }, [title]);
}
