import { ManualClock } from '@shoal/base';
import { beforeEach, describe, expect, it } from 'vitest';
import { ModelHandles } from './model-handles.ts';
import { toyMesh, type ToyMesh } from './testing/toy-mesh.ts';

let mesh: ToyMesh;
let clock: ManualClock;
let handles: ModelHandles;

beforeEach(() => {
  mesh = toyMesh();
  clock = new ManualClock();
  handles = new ModelHandles(mesh, clock);
});

const versionOf = async (spec: { version?: number; label?: string } = {}): Promise<number> =>
  (await handles.get({ name: 'half_plus_two', ...spec })).info.version;
/** Lets a refresh behind the scenes come to its end. */
const settle = async (): Promise<void> => {
  for (let i = 0; i < 10; i++) await Promise.resolve();
};

describe('ModelHandles', () => {
  it('asks once, however many requests come at once or later', async () => {
    await Promise.all([versionOf(), versionOf(), versionOf()]);
    await versionOf();
    expect(mesh.lookups).toBe(1);
  });

  it('asks again for what latest means at most once a second, and answers at once meanwhile', async () => {
    await versionOf();
    mesh.addHalfPlus(2, 3);
    clock.advance(999);
    expect(await versionOf()).toBe(1);
    expect(mesh.lookups).toBe(1);
    clock.advance(1);
    expect(await versionOf()).toBe(1);
    await settle();
    expect(await versionOf()).toBe(2);
    expect(mesh.lookups).toBe(2);
  });

  it('asks nothing again about a version named', async () => {
    await versionOf({ version: 1 });
    clock.advance(60_000);
    await versionOf({ version: 1 });
    expect(mesh.lookups).toBe(1);
  });

  it('drops a version that its placement says is gone', async () => {
    mesh.addHalfPlus(2, 3);
    expect(await versionOf()).toBe(2);
    expect(await versionOf({ version: 2 })).toBe(2);
    mesh.remove('half_plus_two', 2);
    expect(await versionOf()).toBe(1);
    await expect(versionOf({ version: 2 })).rejects.toThrow(
      'Servable not found for request: Specific(half_plus_two, 2)',
    );
  });

  it('drops a label that no longer stands for anything', async () => {
    expect(await versionOf({ label: 'stable' })).toBe(1);
    mesh.dropLabels();
    clock.advance(1000);
    expect(await versionOf({ label: 'stable' })).toBe(1);
    await settle();
    await expect(versionOf({ label: 'stable' })).rejects.toThrow('Unrecognized servable version label: stable');
  });

  it('keeps what it has while the coordinator is away', async () => {
    await versionOf();
    mesh.loseCoordinator();
    clock.advance(1000);
    expect(await versionOf()).toBe(1);
    await settle();
    expect(await versionOf()).toBe(1);
    await expect(versionOf({ version: 1 })).rejects.toMatchObject({ code: 'COORDINATOR_LOST' });
  });

  it('asks nothing about names that no model can have', async () => {
    for (const name of ['', '../x', 'a b', 'x'.repeat(200)]) {
      await expect(handles.get({ name })).rejects.toThrow(`Servable not found for request: Latest(${name})`);
    }
    expect(mesh.lookups).toBe(0);
  });
});
