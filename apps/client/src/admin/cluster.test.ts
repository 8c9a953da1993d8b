import { describe, expect, it } from 'vitest';
import { filterNodes, sortNodes, summarize, type ClusterModel, type ClusterNode } from './cluster.ts';

const node = (name: string, change: Partial<ClusterNode> = {}): ClusterNode => ({
  peerId: `id-${name}`,
  name,
  platform: 'Chrome 150, Linux',
  backend: 'wasm',
  backends: [],
  activity: 'idle',
  code: 'IDLE',
  reason: '',
  queued: 0,
  rowsDone: 0,
  memoryBytesMax: 0,
  memoryBytesUsed: 0,
  joinedAtMs: 0,
  lastSeenMs: 0,
  assignments: [],
  shards: { cacheBytes: 0, peerBytes: 0, coordinatorBytes: 0, servedBytes: 0, held: 0, strikes: 0, isShunned: false },
  ...change,
});

const assignment = (
  model: string,
  state: ClusterNode['assignments'][number]['state'],
): ClusterNode['assignments'][number] => ({
  model,
  version: 1,
  state,
  bytesDone: 0,
  bytesTotal: 0,
  selfTestPassed: 0,
  selfTestTotal: 0,
  provenOver: [],
  msPerRow: 0,
  code: 'IDLE',
  reason: '',
});

const names = (nodes: readonly ClusterNode[]): string => nodes.map((each) => each.name).join(' ');

describe('sortNodes', () => {
  it('sorts names without regard to case and keeps equal ones in a fixed order', () => {
    expect(names(sortNodes([node('b'), node('C'), node('a')], { key: 'name', descending: false }))).toBe('a b C');
    const tied = [node('b', { rowsDone: 5 }), node('a', { rowsDone: 5 }), node('c', { rowsDone: 9 })];
    expect(names(sortNodes(tied, { key: 'rowsDone', descending: true }))).toBe('c a b');
    expect(names(sortNodes(tied.toReversed(), { key: 'rowsDone', descending: true }))).toBe('c a b');
  });
  it('counts ready models alone', () => {
    const nodes = [
      node('two', { assignments: [assignment('x', 'ready'), assignment('y', 'ready')] }),
      node('one', { assignments: [assignment('x', 'ready'), assignment('y', 'failed'), assignment('z', 'fetching')] }),
    ];
    expect(names(sortNodes(nodes, { key: 'models', descending: false }))).toBe('one two');
  });
});

describe('filterNodes', () => {
  const nodes = [
    node('desk', { backend: 'webgpu', assignments: [assignment('digits', 'ready')] }),
    node('phone', { activity: 'suspect', code: 'PEER_UNRESPONSIVE' }),
  ];
  it.each([
    ['', 'desk phone'],
    ['WEBGPU', 'desk'],
    ['digits ready', 'desk'],
    ['unresponsive', 'phone'],
    ['desk suspect', ''],
  ])('%j leaves %j', (filter, left) => expect(names(filterNodes(nodes, filter))).toBe(left));
});

describe('summarize', () => {
  const model = (name: string, change: Partial<ClusterModel> = {}): ClusterModel => ({
    model: name,
    version: 1,
    state: 'served',
    code: null,
    reason: null,
    replicas: 2,
    weightBytes: 0,
    signatures: {},
    classNames: null,
    ...change,
  });
  it('says when all is well, and what hangs on one replica', () => {
    const lone = model('b', { replicas: 1 });
    expect(summarize([model('a'), lone])).toEqual({ kind: 'all-served', models: 2, single: [lone] });
  });
  it('puts what is not served first', () => {
    const missing = model('b', { state: 'unserved', reason: 'no node' });
    expect(summarize([model('a'), missing])).toEqual({ kind: 'some-unserved', models: 2, unserved: [missing] });
  });
  it('knows a mesh without models', () => expect(summarize([])).toEqual({ kind: 'no-models' }));
});
