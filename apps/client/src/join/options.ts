/** What the visitor chooses before starting, prefilled from the address (`?backend=wasm&name=…&memoryMiB=512`). */
import type { ContributeOptions } from '../shared/sdk.ts';

export const POWERS_PERCENT = [25, 50, 75, 100] as const;
export const BACKEND_CHOICES = ['auto', 'webgpu', 'wasm', 'webgl', 'cpu'] as const;
export type BackendChoice = (typeof BACKEND_CHOICES)[number];

export const NAME_LENGTH_MAX = 64;
/** Below this not even the smallest runtime fits. */
export const MEMORY_MIB_MIN = 16;
/** More than a tab may have. */
export const MEMORY_MIB_MAX = 65_536;

export interface JoinChoices {
  /** Empty: the node names itself. */
  readonly name: string;
  /** null: as much as the device can well spare. */
  readonly memoryMiB: number | null;
  readonly powerPercent: (typeof POWERS_PERCENT)[number];
  readonly backend: BackendChoice;
}

const isBackendChoice = (text: string | null): text is BackendChoice =>
  text !== null && (BACKEND_CHOICES as readonly string[]).includes(text);

/** Memory as typed; null for an empty field and for anything out of bounds. */
export function parseMemoryMiB(text: string): number | null {
  const value = Number(text.trim());
  return text.trim() !== '' && Number.isInteger(value) && value >= MEMORY_MIB_MIN && value <= MEMORY_MIB_MAX
    ? value
    : null;
}

export function choicesFromSearch(search: string): JoinChoices {
  const params = new URLSearchParams(search);
  const backend = params.get('backend');
  return {
    name: (params.get('name') ?? '').slice(0, NAME_LENGTH_MAX),
    memoryMiB: parseMemoryMiB(params.get('memoryMiB') ?? ''),
    powerPercent: 100,
    backend: isBackendChoice(backend) ? backend : 'auto',
  };
}

/** What the SDK is asked for. Choices left open are left to it. */
export function contributeOptions(choices: JoinChoices, invite: string, url: string): ContributeOptions {
  const name = choices.name.trim();
  return {
    invite,
    url,
    power: choices.powerPercent / 100,
    ...(name === '' ? {} : { name }),
    ...(choices.memoryMiB === null ? {} : { memoryBytesMax: choices.memoryMiB * 1024 * 1024 }),
    ...(choices.backend === 'auto' ? {} : { backend: choices.backend }),
  };
}
