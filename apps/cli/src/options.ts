/** What `shoal serve` is told, by flags first, then by the environment; each with its default. */
import { join } from 'node:path';
import { UsageError, wholeNumber } from './flags.ts';

export interface ServeOptions {
  readonly host: string;
  readonly port: number;
  readonly restPort: number;
  readonly grpcPort: number;
  /** Embedded nodes, processes of this machine; 0 for none. */
  readonly nodes: number;
  /** A model repository of the user's; without one the sample models are served. */
  readonly modelsFolder: string | undefined;
  readonly stateFolder: string;
  /** Origins, besides its own, whose pages may join: web apps that embed the SDK. */
  readonly origins: readonly string[];
}

const NODES_MAX = 64;

export interface ServeFlags {
  readonly host?: string;
  readonly port?: string;
  readonly restPort?: string;
  readonly grpcPort?: string;
  readonly nodes?: string;
  readonly models?: string;
  readonly state?: string;
  readonly origins?: string;
}

/** @throws UsageError that names the flag and its limit */
export function readServeOptions(flags: ServeFlags, environment: NodeJS.ProcessEnv): ServeOptions {
  return {
    host: flags.host ?? environment['SHOAL_HOST'] ?? '127.0.0.1',
    port: wholeNumber('--port', flags.port ?? environment['SHOAL_PORT'], 8080, 65_535),
    restPort: wholeNumber('--rest-port', flags.restPort ?? environment['SHOAL_REST_PORT'], 8501, 65_535),
    grpcPort: wholeNumber('--grpc-port', flags.grpcPort ?? environment['SHOAL_GRPC_PORT'], 8500, 65_535),
    nodes: wholeNumber('--nodes', flags.nodes ?? environment['SHOAL_NODES'], 2, NODES_MAX),
    modelsFolder: flags.models ?? environment['SHOAL_MODELS'],
    origins: origins(flags.origins ?? environment['SHOAL_ORIGINS'] ?? ''),
    stateFolder: stateFolder(flags.state, environment),
  };
}

/** Keys, sample models and cached shards. */
export const stateFolder = (flag: string | undefined, environment: NodeJS.ProcessEnv): string =>
  flag ?? environment['SHOAL_STATE'] ?? join(process.cwd(), '.shoal');

/** Where models are served from: the user's own folder, else that of the sample models. */
export const modelsFolder = (
  flags: { readonly models?: string; readonly state?: string },
  environment: NodeJS.ProcessEnv,
): string => flags.models ?? environment['SHOAL_MODELS'] ?? join(stateFolder(flags.state, environment), 'models');

function origins(text: string): string[] {
  const list = text.split(',').filter((origin) => origin !== '');
  for (const origin of list) {
    if (URL.canParse(origin) && new URL(origin).origin === origin) continue;
    throw new UsageError(
      `--origins has "${origin}", expected origins such as https://app.example, separated by commas`,
    );
  }
  return list;
}
