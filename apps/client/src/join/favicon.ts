/** The tab itself tells the state: its title, and the dot on its icon. */
import type { NodePhase } from '../shared/sdk.ts';

const ICON_OF_PHASE: Readonly<Record<NodePhase, string>> = {
  measuring: 'preparing',
  joining: 'preparing',
  fetching: 'preparing',
  testing: 'preparing',
  waiting: 'waiting',
  working: 'working',
  draining: 'preparing',
  reconnecting: 'attention',
  stopped: 'idle',
  failed: 'attention',
};

export function showInTab(title: string, phase: NodePhase): void {
  // Writing the title costs the browser a millisecond even when nothing changes.
  if (document.title !== title) document.title = title;
  const link = document.querySelector<HTMLLinkElement>('link[rel="icon"]');
  const href = `/favicon-${ICON_OF_PHASE[phase]}.svg`;
  if (link !== null && link.getAttribute('href') !== href) link.href = href;
}
