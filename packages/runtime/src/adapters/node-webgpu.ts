/** WebGPU under Node.js, where its user has installed the `webgpu` package (Dawn) beside Shoal. */
interface Dawn {
  readonly create: (flags: string[]) => GPU;
  readonly globals: Readonly<Record<string, unknown>>;
}

/** A name that no bundler or type checker looks up: the package is not among Shoal's own. */
const PACKAGE: string = 'webgpu';

/** To be awaited before TensorFlow.js is loaded, which looks for WebGPU once. Without the package nothing happens. */
export async function provideWebGpu(): Promise<void> {
  const dawn = await findDawn();
  if (dawn === undefined) return;
  Object.assign(globalThis, dawn.globals);
  Object.defineProperty(globalThis, 'navigator', { value: { gpu: dawn.create([]) }, configurable: true });
}

async function findDawn(): Promise<Dawn | undefined> {
  try {
    return (await import(PACKAGE)) as Dawn;
  } catch {
    return undefined;
  }
}
