/** Entry of a process with paced nodes, so that they take no time of what is measured. Options as JSON in; ends with its input. */
import { startPacedNode } from './paced-node.ts';
import type { PacedNodesOrder } from './paced-nodes.ts';

const { mesh, names, fixedMs, msPerRow } = JSON.parse(process.argv[2] ?? '{}') as PacedNodesOrder;
const nodes = await Promise.all(names.map((name) => startPacedNode(mesh, name, msPerRow, { fixedMs })));
process.stdin.on('end', () => {
  for (const node of nodes) node.leave();
  // WebRTC keeps threads that would hold the process for a while.
  process.exit(0);
});
process.stdin.resume();
