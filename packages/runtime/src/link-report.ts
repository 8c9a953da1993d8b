/** What a node tells the coordinator of its links: those that something was measured of, the busiest first. */
import type { Link } from '@shoal/mesh/link';
import { LINKS_REPORTED_MAX, type LinkFigures } from '@shoal/protocol';

export function linkReport(links: readonly Pick<Link, 'peer' | 'figures'>[]): LinkFigures[] {
  const measured = links
    .map(({ peer, figures }) => ({ peer, ...figures }))
    .filter(({ rttMs, receiveBytesPerMs }) => rttMs !== null || receiveBytesPerMs !== null)
    .sort((a, b) => b.bytesReceived - a.bytesReceived);
  const byPeer = new Map(measured.toReversed().map((figures) => [figures.peer, figures]));
  return [...byPeer.values()]
    .sort((a, b) => b.bytesReceived - a.bytesReceived)
    .slice(0, LINKS_REPORTED_MAX)
    .map(({ peer, rttMs, receiveBytesPerMs }) => ({ peer, rttMs, bytesPerMs: receiveBytesPerMs }));
}
