/** Every word of the pages in English, whole sentences only: a sentence put together from parts has no translation. */
import type { ClusterModel, NodeActivity, NodeAssignment, SortKey } from '../admin/cluster.ts';
import type { ModelVersions, VersionState } from '../admin/versions.ts';
import type { Hop, Mode, Placement, Written } from '../admin/placement.ts';
import type { DeviceFacts, FitFinding, FitLevel, FitTopic } from '../join/fit.ts';
import type { BackendChoice } from '../join/options.ts';
import type { WaterfallSegment } from '../playground/work.ts';
import { formatBytes, formatCount, formatDuration, formatError, formatMs, formatShare } from '../shared/format.ts';
import type { NodeModelStatus, NodePhase } from '../shared/sdk.ts';
import type { Theme } from '../shared/theme.ts';

const plural = (count: number, one: string, many: string): string =>
  count === 1 ? one : many.replace('#', formatCount(count));

const list = (items: readonly string[]): string => new Intl.ListFormat('en').format(items);

/** Bytes of models by where they came from, those of neighbours counted where it is known how many. */
function takenFrom(from: { peers: number; neighbours?: number; coordinator: number; cache: number }): string {
  const neighbours =
    from.neighbours === undefined ? 'neighbours' : plural(from.neighbours, 'a neighbour', '# neighbours');
  return list(
    [
      from.peers > 0 ? `${formatBytes(from.peers)} from ${neighbours}` : '',
      from.coordinator > 0 ? `${formatBytes(from.coordinator)} from the coordinator` : '',
      from.cache > 0 ? `${formatBytes(from.cache)} kept from before` : '',
    ].filter((part) => part !== ''),
  );
}

export const common = {
  product: 'Shoal',
  skip: 'Skip to the content',
  navigation: 'Pages',
  pages: { join: 'Join', playground: 'Playground', admin: 'Nodes' },
  theme: 'Colours',
  themes: { system: 'As the system', light: 'Light', dark: 'Dark' } satisfies Record<Theme, string>,
  footer:
    'Shoal turns open browser tabs into one inference cluster. Open a page and you have joined; close it and you have left.',
  failure: {
    code: 'Code',
    reason: 'What happened',
    meaning: 'What it means',
    hint: 'What to do',
  },
  copy: 'Copy',
  copied: 'Copied',
  copyFailed: 'The browser did not allow copying.',
  qrLabel: 'QR code of the join link',
  school: (nodes: number): string =>
    plural(
      nodes,
      'A school of one fish: one node is in the mesh.',
      'A school of # fish: so many nodes are in the mesh.',
    ),
  schoolWithYou: (nodes: number): string =>
    plural(
      nodes,
      'Your coral-coloured fish swims with one other: one other node is in the mesh.',
      'Your coral-coloured fish swims in a school of # others, the other nodes of the mesh.',
    ),
};

export const join = {
  title: 'Join',
  documentTitle: (state: string): string => `${state} · Shoal`,
  heading: (mesh: string): string => `Lend this tab to ${mesh}`,
  headingUnnamed: 'Lend this tab to the mesh',
  computes: (models: readonly string[]): string =>
    models.length === 0
      ? 'It has no models yet, so there is nothing to compute for now.'
      : `Together, its tabs run ${list(models)} for those who ask.`,
  nodesNow: (nodes: number): string =>
    nodes === 0
      ? 'Nobody is in the water yet. You would be the first.'
      : plural(nodes, 'One node is swimming now.', '# nodes are swimming now.'),
  start: 'Start contributing',
  startNote: 'Nothing is downloaded or computed before you press this.',
  cannotStart: 'This browser cannot compute for the mesh. The fit check says what is missing.',

  consentTitle: 'What starting means',
  consent: [
    ['Used', 'This device’s GPU or processor, up to the power you choose, while the tab is open.'],
    [
      'Seen',
      'The operator and the callers see your node’s name, browser and speed. Peers see your IP address. Your node sees the inputs it is given to compute.',
    ],
    ['Ended', 'Stop at any time, or close the tab. Work that it holds goes to another node.'],
  ] as readonly (readonly [string, string])[],
  consentDownloadTerm: 'Loaded',
  consentDownload: (models: readonly string[], bytes: number): string =>
    models.length === 0
      ? 'The engine, and the models that the mesh asks this device to hold. They stay in this browser’s cache.'
      : `The engine, and at most ${formatBytes(bytes)} of model weights (${list(models)}). They stay in this browser’s cache.`,

  optionsTitle: 'Options',
  name: 'Name of this node',
  namePlaceholder: 'chosen for you',
  nameHint: 'Shown to the operator and to callers.',
  memory: 'Memory limit in MiB',
  memoryPlaceholder: 'what the device can spare',
  memoryHint: 'From 16 to 65,536. Models that need more go elsewhere.',
  memoryWrong: 'A whole number from 16 to 65,536, or nothing.',
  power: 'Power',
  powerHint: 'Share of the time that this device computes when there is work.',
  powerPercent: (percent: number): string => `${percent} %`,
  backend: 'Backend',
  backends: {
    auto: 'Automatic: the fastest that gives right numbers',
    webgpu: 'WebGPU',
    wasm: 'WebAssembly',
    webgl: 'WebGL',
    cpu: 'JavaScript',
  } satisfies Record<BackendChoice, string>,

  fitTitle: 'Fit check',
  fitNote: 'Read from the browser, without a download.',
  fitPending: 'Looking at this device…',
  fitVerdicts: { good: 'A good fit', caution: 'It will do', missing: 'Not on this browser' } satisfies Record<
    FitLevel,
    string
  >,
  fitModels: (models: readonly string[], bytes: number): string =>
    models.length === 0
      ? 'None of the models fits this device’s memory.'
      : `Good for ${list(models)}; ${formatBytes(bytes)} to download at most.`,
  fitTopics: {
    gpu: 'Graphics',
    wasm: 'Processor',
    webrtc: 'Connections',
    cores: 'Cores',
    memory: 'Memory',
    storage: 'Storage',
    power: 'Power',
    network: 'Network',
    phone: 'Phone',
  } satisfies Record<FitTopic, string>,
  fitLevels: { good: 'good', caution: 'take note', missing: 'missing' } satisfies Record<FitLevel, string>,
  fitFindings: {
    'gpu-yes': ({ gpuName }) => (gpuName === '' ? 'WebGPU is there.' : `WebGPU is there, on ${gpuName}.`),
    'gpu-software': () => 'WebGPU is emulated on the processor. WebAssembly will be faster.',
    'gpu-no-adapter': () =>
      'WebGPU finds no graphics adapter. Look in the browser’s settings for hardware acceleration; on Linux, turn on Vulkan.',
    'gpu-no-api': () =>
      'No WebGPU in this browser: Chrome 113, Safari 26 and Firefox 141 on Windows have it. WebAssembly computes instead.',
    'gpu-insecure': () => 'Browsers give WebGPU to secure pages alone. Open this page over HTTPS or on localhost.',
    'wasm-yes': () => 'WebAssembly with SIMD is there.',
    'wasm-no': () => 'WebAssembly SIMD is missing. A newer browser has it.',
    'webrtc-yes': () => 'WebRTC and workers are there.',
    'webrtc-no': () => 'WebRTC or workers are switched off. Without them no node can be reached.',
    cores: ({ cores }) => plural(cores ?? 0, 'One processor core.', '# processor cores.'),
    memory: ({ memoryGiB }) => (memoryGiB === 8 ? 'Memory of 8 GiB or more.' : `Memory of about ${memoryGiB} GiB.`),
    'memory-small': ({ memoryGiB }) => `Memory of about ${memoryGiB} GiB: small models alone.`,
    storage: ({ storageFreeBytes }) => `${formatBytes(storageFreeBytes ?? 0)} for cached models.`,
    'storage-small': ({ storageFreeBytes }) =>
      `Only ${formatBytes(storageFreeBytes ?? 0)} for cached models: they may be fetched again next time.`,
    'storage-insecure': () => 'No cache on an insecure page: models are fetched every time.',
    'power-mains': () => 'On mains.',
    'power-battery': ({ battery }) => `On battery, ${formatShare(battery?.level ?? 0)} left. Computing will drain it.`,
    'network-saving': () => 'The browser is set to save data. Models are downloaded once.',
    'network-cellular': () => 'A mobile connection. The download may cost you.',
    phone: () => 'Phones stop pages soon after you leave them. Keep this one open.',
  } satisfies Record<FitFinding, (facts: DeviceFacts) => string>,

  anotherTitle: 'Use another device',
  anotherText: 'Scan this, or open the link there. Whoever has the link can join.',
  anotherLink: 'Join link',
  copyLink: 'Copy the link',

  noInviteTitle: 'A join link opens this door',
  noInviteText: 'This page has no invite. Open the join link that the operator gave you, or paste it here.',
  inviteField: 'Join link or invite',
  inviteWrong: 'This is neither a join link nor an invite.',
  useInvite: 'Use this invite',

  preparingTitle: 'Getting ready',
  loadingEngine: 'Loading the engine',
  loadingEngineReason: 'TensorFlow.js and the node’s worker are being fetched.',
  steps: {
    engine: 'Load the engine',
    measure: 'Measure the backends',
    join: 'Join the mesh',
    fetch: 'Download the models',
    test: 'Prove it on stored inputs',
  },
  stepStates: { done: 'done', now: 'under way', next: 'to come' },
  downloaded: (done: number, total: number): string => `${formatBytes(done)} of ${formatBytes(total)}`,
  downloadSpeed: (bytesPerSecond: number, leftMs: number): string =>
    `${formatBytes(bytesPerSecond)} per second, about ${formatDuration(leftMs)} left`,
  downloadLabel: 'Download of the models',
  bytesFrom: takenFrom,
  selfTest: (passed: number, total: number): string => `${passed} of ${total} stored inputs came out right`,
  cancel: 'Stop',

  words: {
    measuring: 'Measuring',
    joining: 'Joining',
    fetching: 'Downloading',
    testing: 'Self-test',
    waiting: 'Waiting for work',
    working: 'Working',
    draining: 'Finishing',
    reconnecting: 'Reconnecting',
    stopped: 'Stopped',
    failed: 'Not running',
  } satisfies Record<NodePhase, string>,
  starting: 'Starting',
  landingState: 'Join',

  figures: {
    rows: 'rows computed',
    rowsHow: 'Rows of input that this tab has computed since it started.',
    models: 'models held',
    modelsHow: 'Models that are loaded here and have passed their self-test.',
    time: 'in the mesh',
    timeHow: 'Time since you pressed the button.',
  },
  backendLabel: 'Computes with',
  nodeLabel: 'Known as',
  meshLabel: 'Mesh',
  drain: 'Finish then stop',
  draining: 'Finishing…',

  routeTitle: 'My place in the route',
  routeCallers: 'Callers',
  routeMe: 'This tab',
  routeBack: 'Back to them',
  routeLinks: (links: number): string => plural(links, 'one link open', '# links open'),
  routeNoLinks: 'no link open yet',
  routeStage: (models: readonly string[]): string =>
    models.length === 0 ? 'holds no model yet' : `computes ${list(models)}`,
  routeKinds: (kinds: readonly string[]): string => list(kinds.map((kind) => linkKinds[kind] ?? kind)),
  routeRtt: (rttMs: number): string => `${formatMs(rttMs)} round trip`,
  routeWhole: 'The whole result, without a detour',

  modelsTitle: 'Models here',
  modelColumns: { model: 'Model', state: 'State', size: 'Download', test: 'Self-test', speed: 'Per row' },
  modelName: (model: string, version: number): string => `${model}, version ${version}`,
  modelStates: {
    fetching: 'downloading',
    testing: 'being tested',
    ready: 'ready',
    failed: 'failed',
  } satisfies Record<NodeModelStatus['state'], string>,
  modelsNone: 'None yet. The coordinator decides what this device holds.',
  backendsTitle: 'Backends measured',
  backendsHow: 'Each one ran a small fixed graph; the fastest with right numbers computes.',
  backendColumns: { backend: 'Backend', result: 'Numbers', time: 'One run' },
  backendRight: 'right',
  backendWrong: 'not used',
  backendChosen: 'chosen',
  unknown: 'not measured',

  logTitle: 'Log',
  logEmpty: 'Nothing yet.',
  copyDiagnostics: 'Copy diagnostics',
  diagnosticsNote: 'What this page knows of the node, without any secret.',

  failedTitle: 'This tab is not contributing',
  tryAgain: 'Try again',
  tryWasm: 'Try with WebAssembly',

  overTitle: 'Thank you.',
  helped: (rows: number): string =>
    rows === 0
      ? 'No work came by this time. Being there counts.'
      : plural(rows, 'You helped with 1 row.', 'You helped with # rows.'),
  overTime: (ms: number): string =>
    `Your tab was in the mesh for ${formatDuration(ms)}. Everything it held is freed; the downloaded models stay cached for next time.`,
  startAgain: 'Start again',
};

const linkKinds: Readonly<Record<string, string>> = {
  direct: 'direct',
  socket: 'by WebSocket',
  relayed: 'relayed',
  memory: 'in memory',
};

export const playground = {
  title: 'Playground',
  heading: 'Ask the mesh',
  lede: 'Pick a model, give it something, and see which nodes computed the answer.',
  noTokenTitle: 'This page needs its link',
  noTokenText: 'Open the playground link that the coordinator printed: it carries the permission to ask.',
  refusedTitle: 'The mesh did not let this page in',
  connecting: 'Connecting to the mesh…',
  states: { open: 'Connected', lost: 'Connection lost; it is being tried again', closed: 'Closed' },
  reconnect: 'Connect again',

  model: 'Model',
  modelOption: (model: string, version: number, served: boolean): string =>
    served ? `${model}, version ${version}` : `${model}, version ${version} (not served)`,
  noModels: 'No model is registered.',
  servedBy: 'Served by',
  replica: (name: string, backend: string, msPerRow: number): string =>
    `${name} · ${backend} · ${formatMs(msPerRow)} per row`,
  notServed: 'Nobody serves it now',
  stage: (index: number): string => `Stage ${index}`,
  weights: (bytes: number): string => `${formatBytes(bytes)} of weights`,

  inputTitle: 'Input',
  samples: 'Sample pictures',
  samplesMissing: 'There are no sample pictures here. Use one of your own.',
  samplesFailed: 'The sample pictures could not be loaded. Use one of your own.',
  licence: (licence: string): string => `Licence: ${licence}`,
  drop: 'Drop a picture here, paste one, or',
  choose: 'choose a file',
  notPicture: (name: string): string => `“${name}” is not a picture that this browser can read.`,
  seenAs: (width: number, height: number, channels: number): string =>
    channels === 1
      ? `The model sees ${width} × ${height} grey values from 0 to 1.`
      : `The model sees ${width} × ${height} pixels, red, green and blue from 0 to 1.`,
  preprocessing: 'The picture is stretched to the model’s size by the browser’s canvas; bytes are divided by 255.',
  preview: 'What the model sees',
  invert: 'Dark ink on a light ground: turn it round',
  drawTitle: 'Draw a digit',
  drawLabel: 'Drawing board. Draw with the pointer; or move the pen with the arrow keys and hold Space to draw.',
  drawHint: 'It is scaled to 20 × 20 and centred by its weight in 28 × 28, as the digits of MNIST are.',
  clear: 'Clear',
  json: 'Input as JSON',
  jsonHint: (signature: string): string => `Rows as a list; several inputs as an object. Expected: ${signature}`,
  spec: (name: string, dtype: string, shape: string): string => `${name}: ${dtype} ${shape}`,
  anyShape: '[any shape]',

  predict: 'Predict',
  predicting: 'Asking…',
  cancel: 'Cancel',
  cannotPredict: 'Give the model an input first.',
  resultTitle: 'Result',
  resultEmpty: 'The answer appears here.',
  classColumns: { name: 'Class', score: 'Score' },
  classIndex: (index: number): string => `Class ${index}`,
  row: (index: number): string => `Row ${index}`,
  more: (count: number): string => plural(count, 'and one more', 'and # more'),
  output: (name: string, dtype: string, shape: string): string => `${name}: ${dtype} ${shape}`,
  total: 'in all',
  announceResult: (best: string, totalMs: number): string => `Result: ${best}, after ${formatMs(totalMs)}.`,
  announceDone: (totalMs: number): string => `The result is there, after ${formatMs(totalMs)}.`,

  computedTitle: 'Who computed it',
  computedColumns: {
    node: 'Node',
    backend: 'Backend',
    rows: 'Rows',
    queue: 'Queue',
    compute: 'Compute',
    share: 'Share',
  },
  timelineTitle: 'Where the time went',
  segments: {
    queue: 'Waiting in the node',
    compute: 'Computing',
    elsewhere: 'On the way and in this page',
  } satisfies Record<WaterfallSegment['kind'], string>,
  segment: (kind: string, node: string | null, ms: number): string =>
    node === null ? `${kind}: ${formatMs(ms)}` : `${kind}, ${node}: ${formatMs(ms)}`,
  rowsRange: (start: number, end: number): string =>
    end - start === 1 ? `Row ${start}` : `Rows ${start} to ${end - 1}`,
  retried: (count: number): string =>
    plural(
      count,
      'One piece of work was sent again after a node failed.',
      '# pieces of work were sent again after nodes failed.',
    ),

  batchTitle: 'A stream of many',
  batchText: (what: number): string =>
    plural(
      what,
      'Sends the input above again and again, several at once.',
      'Goes round the # samples, several at once.',
    ),
  batchCount: 'How many',
  batch: 'Run the stream',
  batchStop: 'Stop the stream',
  batchProgress: (done: number, total: number): string => `${formatCount(done)} of ${formatCount(total)} results`,
  batchRate: (perSecond: number): string =>
    `${new Intl.NumberFormat('en', { maximumFractionDigits: 1 }).format(perSecond)} per second`,
  tallyTitle: 'Rows by node',
  tallyRows: (rows: number, share: number): string =>
    plural(rows, `1 row, ${formatShare(share)}`, `# rows, ${formatShare(share)}`),
  batchDone: (rows: number, nodes: number, ms: number): string =>
    nodes === 1
      ? `${formatCount(rows)} results from one node in ${formatMs(ms)}.`
      : `${formatCount(rows)} results from ${formatCount(nodes)} nodes in ${formatMs(ms)}.`,

  codeTitle: 'The same in code',
  codeTabs: { sdk: 'SDK', curl: 'curl' },
  codeNone: 'The code appears when the input is valid.',
  downloadBody: 'Download request.json',
  failureTitle: 'No result',
};

export const admin = {
  title: 'Nodes',
  heading: 'The mesh at a glance',
  noTokenTitle: 'This page needs the admin link',
  noTokenText: 'Open the admin link that the coordinator printed when it started.',
  refusedTitle: 'The coordinator refused this page',
  loading: 'Asking the coordinator…',
  summary: {
    noModels: 'No model is registered yet.',
    allServed: (models: number): string => plural(models, 'The only model is served.', `All # models are served.`),
    single: (models: readonly ClusterModel[]): string =>
      models.length === 1
        ? `${models[0]?.model ?? ''} hangs on a single replica.`
        : `${list(models.map((model) => model.model))} hang on a single replica each.`,
    unserved: (unserved: readonly ClusterModel[], models: number): string =>
      unserved.length === 1
        ? `${unserved[0]?.model ?? ''} is not served.`
        : `${formatCount(unserved.length)} of ${formatCount(models)} models are not served: ${list(unserved.map((model) => model.model))}.`,
  },
  tiles: { nodes: 'nodes', clients: 'clients', rows: 'rows computed', models: 'models served' },
  servedOf: (served: number, models: number): string => `${formatCount(served)} of ${formatCount(models)}`,
  updated: (time: string): string => `As of ${time}, every 2 s`,
  stale: (time: string): string => `No answer since ${time}. Asking again every 2 s.`,

  nodesTitle: 'Nodes',
  filter: 'Filter nodes',
  filterPlaceholder: 'name, state, backend, model…',
  shown: (shown: number, all: number): string =>
    shown === all ? plural(all, '1 node', '# nodes') : `${formatCount(shown)} of ${formatCount(all)} nodes`,
  noNodes: 'No node is in the mesh. Open the join link in a tab.',
  noMatch: 'No node matches the filter.',
  columns: {
    name: 'Node',
    activity: 'State',
    backend: 'Backend',
    models: 'Models',
    rowsDone: 'Rows',
    memory: 'Memory',
    lastSeen: 'Last seen',
  } satisfies Record<SortKey, string>,
  sortBy: (column: string): string => `Sort by ${column}`,
  activities: { idle: 'Idle', working: 'Working', draining: 'Draining', suspect: 'Suspect' } satisfies Record<
    NodeActivity,
    string
  >,
  queued: (queued: number): string => plural(queued, '1 queued', '# queued'),
  memoryOf: (used: number, max: number): string => `${formatBytes(used)} of ${formatBytes(max)}`,
  ago: (ms: number): string => (ms < 3000 ? 'just now' : `${formatDuration(ms)} ago`),
  stay: (ms: number): string => `here for ${formatDuration(ms)}`,
  assignment: (model: string, version: number): string => `${model} v${version}`,
  assignmentStates: {
    asked: 'asked for',
    fetching: 'downloading',
    testing: 'in self-test',
    proving: 'being proven over a route',
    ready: 'ready',
    failed: 'failed',
  } satisfies Record<NodeAssignment['state'], string>,
  fetched: (done: number, total: number): string => `${formatBytes(done)} of ${formatBytes(total)}`,
  tested: (passed: number, total: number): string => `${passed} of ${total} right`,
  ready: ({ msPerRow, provenOver, selfTestPassed, selfTestTotal }: NodeAssignment): string =>
    provenOver.length === 0
      ? `${formatMs(msPerRow)} per row`
      : `${formatMs(msPerRow)} per row, ${selfTestPassed} of ${selfTestTotal} right over ${provenOver.join(', ')}`,
  noAssignments: 'none',
  shards: (from: { peerBytes: number; coordinatorBytes: number; cacheBytes: number; servedBytes: number }): string =>
    `took ${takenFrom({ peers: from.peerBytes, coordinator: from.coordinatorBytes, cache: from.cacheBytes }) || 'nothing'}; gave ${formatBytes(from.servedBytes)} to others`,
  strikes: (strikes: number, isShunned: boolean): string =>
    `wrong bytes, reported by ${plural(strikes, '1 node', '# nodes')}${isShunned ? ': no source any more' : ''}`,

  modelsTitle: 'Models',
  modelColumns: { model: 'Model', version: 'Version', state: 'State', replicas: 'Replicas', weights: 'Weights' },
  modelStates: { served: 'Served', unserved: 'Not served', refused: 'Refused' } satisfies Record<
    ClusterModel['state'],
    string
  >,
};

export const versions = {
  title: 'Versions',
  policy: (policy: ModelVersions['policy']): string =>
    policy === 'all'
      ? 'serves all versions'
      : 'latest' in policy
        ? plural(policy.latest, 'serves the latest version', 'serves the latest # versions')
        : `serves ${list(policy.specific.map(String))} only`,
  version: (version: number): string => `v${version}`,
  states: {
    LOADING: 'Loading',
    AVAILABLE: 'Available',
    UNLOADING: 'Finishing',
    END: 'Unloaded',
    refused: 'Refused',
  } satisfies Record<VersionState | 'refused', string>,
  latest: 'latest',
  label: (label: string): string => `label ${label}`,
  replicas: (replicas: number): string => plural(replicas, '1 replica', '# replicas'),
  recording: 'Keeps inputs',
  recorded: ({ kept, of }: NonNullable<ModelVersions['recording']>): string =>
    `Inputs of ${plural(kept, '1 request', '# requests')} are kept beside the model for calibration, a sample of up to ${formatCount(of)}.`,
  configKept: 'serving.json is not in force',
  refused: 'Not changed',
  split: 'Split',
  part: (name: string, version: number | null, share: string): string =>
    version === null
      ? `${name}: not served`
      : name === String(version)
        ? `v${version}: ${share}`
        : `${name} (v${version}): ${share}`,
  stickyBy: (header: string): string => `sticky by ${header}`,
  shadow: 'Shadow',
  shadowOf: (share: string, to: string, version: number | null): string =>
    version === null ? `${to} is not served now` : `${share} of requests are repeated on v${version}`,
  shadowColumns: {
    versions: 'Shadow',
    compared: 'Compared',
    top1: 'Same class',
    relativeL2: 'Relative L2, mean / max',
    latency: 'Answer, p50 / p95',
    shadowLatency: 'Shadow, p50 / p95',
    failed: 'Failed / skipped',
  },
  beside: (shadow: number, version: number): string => `v${shadow} beside v${version}`,
  meanMax: (mean: number, max: number | null): string =>
    `${mean.toPrecision(2)} / ${max === null ? '–' : max.toPrecision(2)}`,
  percentiles: (p50: string, p95: string): string => `${p50} / ${p95}`,
  failedSkipped: (failed: number, skipped: number): string => `${formatCount(failed)} / ${formatCount(skipped)}`,
  change: 'Change labels and split',
  labelTitle: 'Give a label to a version',
  labelName: 'Label',
  labelVersion: 'Version',
  move: 'Move label',
  splitTitle: 'Share requests that name no version',
  weightOf: (name: string): string => `Weight of ${name}`,
  setSplit: 'Set split',
  endSplit: 'End split',
  rollBack: (version: number): string => `Roll back to v${version}`,
  confirm: (version: number): string => `All requests go to v${version}, newer versions wait. Roll back?`,
  yes: 'Roll back',
  no: 'Keep',
};

const rate = (rowsPerSecond: number): string =>
  `${rowsPerSecond >= 100 ? formatCount(rowsPerSecond) : Number(rowsPerSecond.toPrecision(3))} rows/s`;
const span = (low: number, high: number, format: (value: number) => string): string =>
  format(low) === format(high) ? format(low) : `${format(low)} to ${format(high)}`;
/** What a codec does to the answers, in words. */
function errorLines(error: Written['error']): readonly string[] {
  if (error === null) return ['error not measured'];
  if (error.relativeL2 === 0 && error.disagreement === 0) return ['lossless'];
  const differ = error.disagreement === 0 ? [] : [`${formatShare(error.disagreement)} answers differ`];
  return [`error ${formatError(error.relativeL2)}`, ...differ];
}

/** Bytes a millisecond as bytes a second. */
const goodput = (bytesPerMs: number): string => `${formatBytes(bytesPerMs * 1000)}/s`;

export const placement = {
  title: 'Placement',
  lede: 'Which node holds which layers. Outlined bars are predicted, filled ones measured, both in time a row.',
  modes: { data: 'Data parallel', pipeline: 'Pipeline', hybrid: 'Hybrid' } satisfies Record<Mode, string>,
  unserved: 'Not served',
  why: ({ policy, mode, plan }: Placement): string => {
    if (policy.cause === 'operator') return 'So its operator wants it, in serving.json.';
    if (policy.cause === 'caller') return 'So its callers wish it, and its operator leaves it open.';
    if (plan === undefined && mode === 'data') return 'Every node that has the memory holds it whole.';
    if (mode === 'data') return 'Whole on each node: no cut is expected to serve more rows.';
    if (mode === 'pipeline')
      return 'In stages, one node each: expected to serve more rows than any other way that fits.';
    return 'In stages on several nodes each: expected to serve more rows than any other way that fits.';
  },
  chain: (model: string): string => `The chain of stages of ${model}`,
  whole: 'The whole model',
  stage: (number: number): string => `Stage ${number}`,
  layers: (start: number, end: number): string =>
    end - start === 1 ? `layer ${start}` : `layers ${start} to ${end - 1}`,
  slowest: 'Sets the pace',
  hole: 'No node holds it',
  none: 'unknown',
  predicted: 'predicted',
  predictedHelp: 'By the cost model, from what nodes and links have shown so far.',
  measuredWork: 'measured, by work',
  measuredTest: 'measured, by self-test',
  measuredHelp: 'What the replicas of the slowest stage can compute together, from the times they report.',
  latency: 'one row, idle mesh',
  latencyHelp: 'Predicted: all stages and hops on the fastest route.',
  bound: 'of what is possible',
  boundHelp: 'The plan against a computed bound that no placement of this kind exceeds.',
  ofBound: (gap: number): string => `${gap < 0.0005 ? '' : '≥ '}${formatShare(1 - gap)}`,
  rate,
  replica: (facts: {
    readonly predictedMsPerRow: number | null;
    readonly ms: number;
    readonly by: 'work' | 'self-test';
    readonly rows: number;
  }): string => {
    const seen =
      facts.by === 'work'
        ? `${formatMs(facts.ms)} in ${plural(facts.rows, '1 row', '# rows')}`
        : `${formatMs(facts.ms)} in self-test`;
    return facts.predictedMsPerRow === null ? seen : `${formatMs(facts.predictedMsPerRow)} predicted, ${seen}`;
  },
  perRow: (bytes: number | null): string => (bytes === null ? 'unknown' : `${formatBytes(bytes)} a row`),
  written: ({ bytesPerRow, plainBytesPerRow, error, otherCodecs }: Written): readonly string[] => [
    ...(otherCodecs === 0 ? [] : [plural(otherCodecs, 'and another codec', 'and # other codecs')]),
    `${formatShare(plainBytesPerRow === 0 ? 1 : bytesPerRow / plainBytesPerRow)} of ${formatBytes(plainBytesPerRow)}`,
    ...errorLines(error),
  ],
  writtenHelp:
    'How the nodes lately wrote what crosses here, its share of float32, and what the codec was measured to change at the outputs: relative L2 of the worst row, and answers that differ.',
  budget: 'error budget',
  budgetHelp:
    'What coding between stages may change at the outputs where a caller says nothing: errorBudget in serving.json.',
  ofBudget: (budget: number): string => (budget === 0 ? 'none: lossless' : formatShare(budget)),
  link: ({ rttMs, bytesPerMs }: Hop): string => `${span(...rttMs, formatMs)} · ${span(...bytesPerMs, goodput)}`,
  linkBasis: { all: 'measured', some: 'partly assumed', none: 'assumed' } satisfies Record<Hop['measured'], string>,
  sameNode: 'link not known',
  note: (reason: string): string => `A better plan is not followed: ${reason}.`,
  proof: ({ state, vectors, routes, reason }: NonNullable<Placement['proof']>): string => {
    const passed = routes.filter((route) => route.state === 'passed').length;
    const count = `${plural(vectors, '1 stored input', '# stored inputs')} over ${plural(passed, '1 route', '# routes')}`;
    switch (state) {
      case 'proven':
        return passed === 0 ? 'Proven by stored inputs, as its nodes tell.' : `Proven: ${count} came out right.`;
      case 'proving':
        return `Being proven: ${reason ?? ''}.`;
      case 'suspected':
        return `Wrong numbers: ${reason ?? ''}.`;
      case 'unproven':
        return `Unproven: ${reason ?? ''}.`;
    }
  },
  move: ({ plan, stages }: NonNullable<Placement['move']>): string => {
    const ready = stages.reduce((sum, stage) => sum + stage.ready, 0);
    const wanted = stages.reduce((sum, stage) => sum + stage.wanted, 0);
    return `Another placement is being made ready beside this one: ${plural(stages.length, 'whole', '# stages')}, ${rate(plan.rowsPerSecond)} predicted, ${formatCount(ready)} of ${formatCount(wanted)} parts ready.`;
  },
};
