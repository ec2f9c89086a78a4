// Which rows of a long list are on the screen.

import { useEffect, useLayoutEffect, useState } from 'preact/hooks';
import type { RefObject } from 'preact';

const SPARE = 12; // rows beyond either edge

/** First and last (exclusive) of `count` rows of `height` px within `view`. Pure. */
export function range(top: number, view: number, height: number, count: number): [number, number] {
  const first = Math.max(0, Math.floor(top / height) - SPARE);
  return [Math.min(first, count), Math.min(count, Math.ceil((top + view) / height) + SPARE)];
}

/** Follows scrolling and size of the scroller; `offset` px of it lie above the first row. */
export function useVirtual(scroller: RefObject<HTMLElement>, count: number, height: number, offset = 0): [number, number] {
  const [span, setSpan] = useState<[number, number]>([0, Math.min(count, 40)]);
  const update = () => {
    const element = scroller.current;
    if (!element) return;
    const [first, last] = range(Math.max(0, element.scrollTop - offset), element.clientHeight, height, count);
    setSpan((old) => (old[0] === first && old[1] === last ? old : [first, last]));
  };
  useLayoutEffect(update, [count, height, offset]);
  useEffect(() => {
    const element = scroller.current;
    if (!element) return undefined;
    element.addEventListener('scroll', update, { passive: true });
    const observer = new ResizeObserver(update);
    observer.observe(element);
    return () => {
      element.removeEventListener('scroll', update);
      observer.disconnect();
    };
  }, [count, height, offset]);
  return [Math.min(span[0], count), Math.min(span[1], count)];
}

/** Brings row `index` into view; to its middle if it was out of it and `centre`. */
export function scrollToRow(element: HTMLElement | null, index: number, height: number, offset = 0, centre = false): void {
  if (!element) return;
  const top = index * height;
  const view = element.clientHeight - offset;
  const isOut = top < element.scrollTop || top + height > element.scrollTop + view;
  if (isOut && centre) element.scrollTop = top - view / 2;
  else if (top < element.scrollTop) element.scrollTop = top;
  else if (top + height > element.scrollTop + view) element.scrollTop = top + height - view;
}

/** A length of the styles in px: "--row" is 30, and 44 under a finger. */
export function usePixels(name: '--row' | '--row-tall' | '--tree-row'): number {
  const read = () => {
    const style = getComputedStyle(document.documentElement);
    const rem = parseFloat(style.fontSize) || 16;
    return Math.round(parseFloat(style.getPropertyValue(name)) * rem) || 30;
  };
  const [pixels, setPixels] = useState(read);
  useEffect(() => {
    const query = matchMedia('(pointer: coarse)');
    const update = () => setPixels(read());
    query.addEventListener('change', update);
    addEventListener('resize', update);
    return () => {
      query.removeEventListener('change', update);
      removeEventListener('resize', update);
    };
  }, []);
  return pixels;
}
