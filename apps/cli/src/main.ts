#!/usr/bin/env node
/** The `shoal` command. */
import { Command, CommanderError } from 'commander';
import { MeshError } from '@shoal/protocol';
import { UsageError } from './flags.ts';

const EXIT_FAILED = 1;
const EXIT_USAGE = 2;

const program = quiet(new Command('shoal').description('Shoal turns open browser tabs into one inference cluster.'));

// Each command loads its own parts: `shoal model list` needs neither WebRTC nor TensorFlow.js.
quiet(program.command('serve'))
  .description('start a coordinator with pages, REST, gRPC and embedded nodes')
  .option('--host <address>', 'address to listen on (SHOAL_HOST, default 127.0.0.1; 0.0.0.0 for the whole network)')
  .option('--port <n>', 'port of the coordinator and the pages (SHOAL_PORT, default 8080)')
  .option('--rest-port <n>', 'port of the REST gateway (SHOAL_REST_PORT, default 8501)')
  .option('--grpc-port <n>', 'port of the gRPC gateway (SHOAL_GRPC_PORT, default 8500)')
  .option('--nodes <n>', 'embedded nodes (SHOAL_NODES, default 2; 0 for none)')
  .option('--models <folder>', 'model repository (SHOAL_MODELS, default: the sample models)')
  .option('--origins <list>', 'other origins whose pages may join (SHOAL_ORIGINS), separated by commas')
  .option('--state <folder>', 'keys, sample models and cached shards (SHOAL_STATE, default .shoal)')
  .action(async (flags) => (await import('./serve.ts')).serve(flags));

quiet(program.command('join'))
  .description('compute for a mesh until stopped: a node without a browser')
  .argument('<invite>', 'the join link that shoal serve prints, or its token')
  .option('--url <origin>', 'where the coordinator is, if the invite is a token')
  .option('--name <name>', 'shown to operators and callers (default: the name of this machine)')
  .option('--memory <size>', 'most memory that models may take, such as 2GB (default: a quarter of what there is)')
  .option('--power <share>', 'share of time spent computing, above 0 to 1 (default 1)')
  .option('--backend <name>', 'take this backend instead of the fastest that is right: wasm, cpu, webgpu')
  .option('--cache <folder>', 'keeps downloaded shards between runs (default ~/.cache/shoal/shards)')
  .action(async (invite, flags) => (await import('./join.ts')).join(invite, flags));

quiet(program.command('predict'))
  .description('send one request over the mesh, in the JSON of TensorFlow Serving')
  .argument('<model>', 'its name')
  .option('--mesh <link>', 'the playground link that shoal serve prints, or its token (SHOAL_MESH)')
  .option('--url <origin>', 'where the coordinator is, if --mesh is a token')
  .option('--data <json>', 'the request, such as {"instances": [1, 2, 5]} (default: standard input)')
  .option('--file <path>', 'a file with the request')
  .option('--version <n>', 'this version of the model')
  .option('--label <name>', 'the version with this label')
  .option('--deadline <ms>', 'most time the request may take (default 30000)')
  .option('--trace', 'tell on standard error which nodes computed it, and how long')
  .action(async (model, flags) => (await import('./predict.ts')).predict(model, flags));

const model = quiet(program.command('model').description('check, register, list and shrink models'));
quiet(model.command('add'))
  .description('check a model, run it once, and register it; a running mesh picks it up')
  .argument('<dir>', 'folder with a model.json and its weight files')
  .requiredOption('--name <name>', 'name to serve it under')
  .option('--version <n>', 'its version (default: the next one)')
  .option('--models <folder>', 'model repository (SHOAL_MODELS, default: that of shoal serve)')
  .option('--state <folder>', 'as for shoal serve (SHOAL_STATE, default .shoal)')
  .action(async (dir, flags) => (await import('./models/add.ts')).addModel(dir, flags));
quiet(model.command('list'))
  .description('list the models of a repository, with what is wrong with those that cannot be served')
  .option('--models <folder>', 'model repository (SHOAL_MODELS, default: that of shoal serve)')
  .option('--state <folder>', 'as for shoal serve (SHOAL_STATE, default .shoal)')
  .action(async (flags) => (await import('./models/list.ts')).listModels(flags));
quiet(model.command('quantize'))
  .description("store a model's weights in fewer bytes, and measure what that loses")
  .argument('<dir>', 'folder with a model.json and its weight files')
  .requiredOption('--to <folder>', 'where the smaller model goes')
  .option('--dtype <type>', 'uint8 (default), uint16 or float16')
  .option(
    '--per-tensor',
    'one scale a weight instead of one a channel: larger loss, but plain TensorFlow.js reads it too',
  )
  .action(async (dir, flags) => (await import('./models/quantize.ts')).quantize(dir, flags));

quiet(model.command('calibrate'))
  .description(
    'measure what codecs do to its answers, on requests of your own; error budgets are kept by these figures',
  )
  .argument('<dir>', 'folder of the version, with a model.json and its weight files')
  .option(
    '--inputs <folder>',
    'bodies of predict requests, one a .json file (default: calibration, beside the version)',
  )
  .option('--cuts <n>', 'places along the model that are measured at most (default 16)')
  .option('--at <layers>', 'measures before these layers instead, for stages that begin there: 41,97')
  .action(async (dir, flags) => (await import('./models/calibrate.ts')).calibrateModel(dir, flags));

quiet(program.command('bench'))
  .description('run a benchmark, as npm run bench does; without a name, list them')
  .argument('[args...]', 'its name, and --json or --report')
  .allowUnknownOption()
  .action(async (args) => (await import('./bench.ts')).bench(args));

try {
  await program.parseAsync();
} catch (error) {
  fail(error);
}

/** Commander throws instead of printing and leaving; `fail` says it in one line. */
function quiet(command: Command): Command {
  return command.exitOverride().configureOutput({ writeErr: () => {} });
}

function fail(error: unknown): never {
  if (error instanceof CommanderError && error.exitCode === 0) process.exit(0);
  if (error instanceof MeshError) {
    process.stderr.write(`shoal: ${error.message}. ${error.hint}\n`);
    process.exit(EXIT_FAILED);
  }
  if (!(error instanceof CommanderError) && !(error instanceof UsageError)) throw error;
  const text = error.message.replace(/^error: /, '');
  process.stderr.write(`shoal: ${text}${error instanceof CommanderError ? '; see shoal --help' : ''}\n`);
  process.exit(EXIT_USAGE);
}
