import { seededRandom } from '@shoal/base';
import { beforeEach, describe, expect, it } from 'vitest';
import { ModelHandles } from './model-handles.ts';
import { toyMesh, type ToyMesh } from './testing/toy-mesh.ts';

let mesh: ToyMesh;
let handles: ModelHandles;

beforeEach(() => {
  mesh = toyMesh();
  handles = new ModelHandles(mesh, seededRandom(1));
});

const versionOf = async (spec: { version?: number; label?: string } = {}): Promise<number> =>
  (await handles.get({ name: 'half_plus_two', ...spec })).info.version;
describe('ModelHandles', () => {
  it('asks once, however many requests come at once or later', async () => {
    await Promise.all([versionOf(), versionOf(), versionOf()]);
    await versionOf();
    expect(mesh.lookups).toBe(1);
  });

  it('follows the latest version and labels without asking, while a request stays on the version it began on', async () => {
    const begun = await handles.get({ name: 'half_plus_two' });
    mesh.addHalfPlus(2, 3);
    expect(await versionOf()).toBe(2);
    expect(begun.info.version).toBe(1);
    expect(mesh.lookups).toBe(1);
  });

  it('asks nothing again about a version named', async () => {
    await versionOf({ version: 1 });
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
    await expect(versionOf({ label: 'stable' })).rejects.toThrow('Unrecognized servable version label: stable');
  });

  it('keeps what it has while the coordinator is away', async () => {
    await versionOf();
    mesh.loseCoordinator();
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
