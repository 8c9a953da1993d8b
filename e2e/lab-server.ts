/** Builds the lab page and serves it from an origin of its own, with the models and pictures that it compares with. */
import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { basename, join, normalize } from 'node:path';
import { fileURLToPath } from 'node:url';
import { samplePictures } from '@shoal/samples';
import { build } from 'vite';

const ROOT = fileURLToPath(new URL('lab', import.meta.url));
const DIST = fileURLToPath(new URL('../dist/lab', import.meta.url));
const TYPES: Readonly<Record<string, string>> = {
  html: 'text/html',
  js: 'text/javascript',
  json: 'application/json',
  wasm: 'application/wasm',
  png: 'image/png',
  jpg: 'image/jpeg',
};

export interface LabServer {
  readonly origin: string;
  /** Makes a model repository readable at `/models`. */
  serveModels(folder: string): void;
  close(): Promise<void>;
}

export async function startLab(): Promise<LabServer> {
  await build({
    root: ROOT,
    configFile: false,
    logLevel: 'error',
    build: { outDir: DIST, emptyOutDir: true, target: 'es2022', chunkSizeWarningLimit: 4000 },
  });
  let modelsFolder = '';
  const photographs = samplePictures().filter((picture) => picture.path.endsWith('.jpg'));
  const server = createServer((request, response) => {
    const path = normalize(decodeURIComponent((request.url ?? '/').split('?')[0] ?? '/'));
    if (path === '/pictures.json') {
      response.setHeader('content-type', 'application/json');
      response.end(JSON.stringify(photographs.map((picture) => `/pictures/${basename(picture.path)}`)));
      return;
    }
    const picture = photographs.find((candidate) => path === `/pictures/${basename(candidate.path)}`);
    const file =
      picture?.path ??
      (path.startsWith('/models/')
        ? join(modelsFolder, path.slice('/models/'.length))
        : join(DIST, path === '/' ? 'index.html' : path));
    stat(file).then(
      () => {
        response.setHeader('content-type', TYPES[file.split('.').at(-1) ?? ''] ?? 'application/octet-stream');
        createReadStream(file).pipe(response);
      },
      () => {
        response.statusCode = 404;
        response.end();
      },
    );
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    origin: `http://localhost:${(server.address() as AddressInfo).port}`,
    serveModels: (folder) => {
      modelsFolder = folder;
    },
    close: () => new Promise((resolve) => server.close(() => resolve())),
  };
}
