/**
 * `npm run build:kernels`: compiles the codecs' inner loops to WebAssembly and writes them as base64 into a module, which Node.js,
 * workers and bundlers load alike. A test compiles again and compares, so the two never part.
 */
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import asc from 'assemblyscript/asc';

const FOLDER = new URL('../packages/sharding/src/adapters/', import.meta.url);
const SOURCES = new URL('kernels/', FOLDER);
const MODULE = new URL('kernels-wasm.ts', FOLDER);
/** No runtime and no allocation: memory is the caller's. */
const OPTIONS = ['-O3', '--noAssert', '--runtime', 'stub', '--enable', 'simd', '--enable', 'bulk-memory'];

/** @throws Error with what the compiler said */
export async function compileKernels(): Promise<Uint8Array> {
  // The compiler wants names that end in `.ts`; no other tool should take the files for TypeScript.
  const sources = new Map<string, string>();
  for (const file of await readdir(SOURCES)) {
    sources.set(file.replace(/\.as$/, '.ts'), await readFile(new URL(file, SOURCES), 'utf8'));
  }
  let binary: Uint8Array | undefined;
  const { error, stderr } = await asc.main(['index.ts', '-o', 'kernels.wasm', ...OPTIONS], {
    readFile: (name) => sources.get(name) ?? null,
    writeFile: (name, contents) => {
      if (name === 'kernels.wasm' && contents instanceof Uint8Array) binary = contents;
    },
    listFiles: () => [],
  });
  if (error !== null || binary === undefined) throw new Error(`kernels: ${stderr.toString()}`, { cause: error });
  return binary;
}

/** The module that holds these bytes. */
export function kernelsModule(binary: Uint8Array): string {
  const text = Buffer.from(binary).toString('base64');
  return `/** \`kernels/\` compiled, as base64: written by \`npm run build:kernels\`. */\nexport const KERNELS_WASM =\n  '${text}';\n`;
}

export const readKernelsModule = (): Promise<string> => readFile(MODULE, 'utf8');

if (process.argv[1] === fileURLToPath(import.meta.url)) await writeFile(MODULE, kernelsModule(await compileKernels()));
