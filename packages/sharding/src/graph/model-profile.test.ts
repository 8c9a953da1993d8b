import { describe, expect, it } from 'vitest';
import { checkProfile, stageWeightBytes } from '../placement/profile.ts';
import { sliceAt } from '../slice/slice-model.ts';
import { functional, sequential } from './fixtures.ts';
import { layerGraph } from './layer-graph.ts';
import { modelProfile } from './model-profile.ts';
import { readModel } from './read-model.ts';
import { withProfile } from './recorded.ts';

const options = { name: 'm', rows: 2, flopsPerMs: 10 };

describe('modelProfile', () => {
  it('gives the planner costs, bytes and legal cuts', () => {
    const profile = modelProfile(layerGraph(readModel(sequential)), options);
    checkProfile(profile);
    expect(profile).toEqual({
      name: 'm',
      layers: [
        { computeMs: 3.2, weightBytes: 64, workingBytes: 2 * (12 + 16), ops: ['Dense'] },
        { computeMs: 2, weightBytes: 40, workingBytes: 2 * (16 + 8), ops: ['Dense'] },
      ],
      bytesAtCut: [12, 16, 8],
      legal: [true, true, true],
      shared: [],
    });
  });

  it('counts measured costs as they are', () => {
    const graph = withProfile(layerGraph(readModel(sequential)), [7, 8]);
    expect(modelProfile(graph, options).layers.map((layer) => layer.computeMs)).toEqual([7, 8]);
  });

  it('agrees with the stages on what a range of layers holds', () => {
    const model = readModel(functional);
    const graph = layerGraph(model);
    const profile = modelProfile(graph, options);
    expect(profile.shared?.map(({ layers }) => layers)).toEqual([
      [0, 1],
      [0, 1],
      [3, 4],
      [3, 4],
    ]);
    for (const stage of sliceAt(model, graph, [1, 4])) {
      expect(stageWeightBytes(profile, { start: stage.start, end: stage.end })).toBe(stage.memoryBytes);
    }
  });

  it('forbids cuts of unknown bytes', () => {
    const text = JSON.stringify(functional).replace('"Add"', '"Unheard"');
    expect(modelProfile(layerGraph(readModel(JSON.parse(text))), options).legal).toEqual([
      true,
      true,
      true,
      false,
      false,
      true,
    ]);
  });

  it('refuses rates that mean nothing', () => {
    expect(() => modelProfile(layerGraph(readModel(sequential)), { ...options, flopsPerMs: 0 })).toThrow(/flopsPerMs/);
  });
});
