/**
 * Completes package-lock.json after an install from a registry that lacks native bindings of other platforms.
 *
 * Tools such as oxlint name one optional package per platform. npm leaves those that the registry does not have out of
 * the lockfile, and `npm ci` then refuses it. The entries written here have the platform that the package's name tells,
 * so npm passes them over everywhere else; where they fit, the registry there has them.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

interface Entry {
  version?: string;
  dev?: boolean;
  optionalDependencies?: Record<string, string>;
  [field: string]: unknown;
}

const FILE = fileURLToPath(new URL('../package-lock.json', import.meta.url));
const SYSTEMS = ['android', 'darwin', 'freebsd', 'linux', 'openharmony', 'win32'];
const PROCESSORS: Readonly<Record<string, string>> = {
  ia32: 'ia32',
  x64: 'x64',
  arm: 'arm',
  armv7: 'arm',
  arm64: 'arm64',
  ppc64: 'ppc64',
  riscv64: 'riscv64',
  s390x: 's390x',
  loong64: 'loong64',
};

const lockfile = JSON.parse(readFileSync(FILE, 'utf8')) as { packages: Record<string, Entry> };
const missing: string[] = [];
for (const [path, entry] of Object.entries(lockfile.packages)) {
  for (const [name, version] of Object.entries(entry.optionalDependencies ?? {})) {
    const at = `node_modules/${name}`;
    if (lockfile.packages[at] !== undefined || lockfile.packages[`${path}/${at}`] !== undefined) continue;
    const words = (name.split('/').at(-1) ?? name).split('-');
    const os = words.find((word) => SYSTEMS.includes(word));
    const cpu = words.map((word) => PROCESSORS[word]).find((word) => word !== undefined);
    if (os === undefined || cpu === undefined || !/^\d/.test(version)) continue;
    lockfile.packages[at] = {
      version,
      cpu: [cpu],
      ...(entry.dev === true ? { dev: true } : {}),
      optional: true,
      os: [os],
    };
    missing.push(name);
  }
}
lockfile.packages = Object.fromEntries(Object.entries(lockfile.packages).sort(([a], [b]) => (a < b ? -1 : 1)));
writeFileSync(FILE, `${JSON.stringify(lockfile, null, 2)}\n`);
process.stdout.write(`${missing.length} entries added\n`);
