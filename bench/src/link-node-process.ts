/**
 * Entry of a process with one real node. Options as JSON in. A line `f32` or `free` says how it may write, `sent` asks for the
 * bytes that it has given to each of its links; ends with its input.
 */
import { createInterface } from 'node:readline';
import { join } from 'node:path';
import { contribute } from '@shoal/mesh/node';
import { CodecPicker } from '@shoal/sharding';
import type { LinkNodeOrder } from './link-node.ts';

const { url, invite, name, folder } = JSON.parse(process.argv[2] ?? '{}') as LinkNodeOrder;
let onlyF32 = false;
// The baseline: the very same node, which may choose no codec.
CodecPicker.prototype.pick = new Proxy<CodecPicker['pick']>(Reflect.get(CodecPicker.prototype, 'pick'), {
  apply: (pick, picker, link) => (onlyF32 ? 'f32' : Reflect.apply(pick, picker, link)),
});
const node = await contribute({ url, invite, name, backend: 'wasm', cacheFolder: join(folder, 'cache', name) });
const lines = createInterface({ input: process.stdin });
lines.on('line', (line) => {
  if (line === 'sent')
    process.stdout.write(`${JSON.stringify(node.snapshot.links.map(({ bytesSent }) => bytesSent))}\n`);
  else onlyF32 = line === 'f32';
});
// WebRTC keeps threads that would hold the process for a while.
lines.on('close', () => process.exit(0));
