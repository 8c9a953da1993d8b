#!/usr/bin/env node
/** The `shoal` command. */
import { Command, CommanderError } from 'commander';
import { UsageError } from './options.ts';
import { serve } from './serve.ts';

const EXIT_USAGE = 2;

const program = new Command('shoal')
  .description('Shoal turns open browser tabs into one inference cluster.')
  .exitOverride()
  .configureOutput({ writeErr: () => {} });

program
  .command('serve')
  .description('start a coordinator with pages, REST and embedded nodes')
  .option('--host <address>', 'address to listen on (SHOAL_HOST, default 127.0.0.1; 0.0.0.0 for the whole network)')
  .option('--port <n>', 'port of the coordinator and the pages (SHOAL_PORT, default 8080)')
  .option('--rest-port <n>', 'port of the REST gateway (SHOAL_REST_PORT, default 8501)')
  .option('--nodes <n>', 'embedded nodes (SHOAL_NODES, default 2; 0 for none)')
  .option('--models <folder>', 'model repository (SHOAL_MODELS, default: the sample models)')
  .option('--origins <list>', 'other origins whose pages may join (SHOAL_ORIGINS), separated by commas')
  .option('--state <folder>', 'keys, sample models and cached shards (SHOAL_STATE, default .shoal)')
  .exitOverride()
  .configureOutput({ writeErr: () => {} })
  .action(serve);

try {
  await program.parseAsync();
} catch (error) {
  if (error instanceof CommanderError && error.exitCode === 0) process.exit(0);
  if (!(error instanceof CommanderError) && !(error instanceof UsageError)) throw error;
  const text = error.message.replace(/^error: /, '');
  process.stderr.write(`shoal: ${text}${error instanceof CommanderError ? '; see shoal serve --help' : ''}\n`);
  process.exit(EXIT_USAGE);
}
