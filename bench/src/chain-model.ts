/** A model that is a chain of equal layers, so that any number of stages up to its layers is a fair cut. */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

export const CHAIN_MODEL = 'chain';

/** x → +c → +c → …, on rows of `columns` float32: the activation has the input's size at every cut. */
export async function writeChainModel(modelsFolder: string, layers: number, columns: number): Promise<void> {
  const folder = join(modelsFolder, CHAIN_MODEL, '1');
  await mkdir(folder, { recursive: true });
  const float = { type: 'DT_FLOAT' };
  const shape = { dim: [{ size: '-1' }, { size: String(columns) }] };
  const node = [
    { name: 'x', op: 'Placeholder', attr: { dtype: float, shape: { shape } } },
    ...Array.from({ length: layers }, (_, i) => [
      { name: `c${i}`, op: 'Const', attr: { dtype: float, value: { tensor: { dtype: 'DT_FLOAT', tensorShape: {} } } } },
      { name: `layer${i}`, op: 'AddV2', input: [i === 0 ? 'x' : `layer${i - 1}`, `c${i}`], attr: { T: float } },
    ]).flat(),
  ];
  const last = `layer${layers - 1}`;
  const weights = Array.from({ length: layers }, (_, i) => ({ name: `c${i}`, shape: [], dtype: 'float32' }));
  const model = {
    format: 'graph-model',
    generatedBy: 'bench',
    convertedBy: null,
    signature: {
      inputs: { x: { name: 'x:0', dtype: 'DT_FLOAT', tensorShape: shape } },
      outputs: { y: { name: `${last}:0`, dtype: 'DT_FLOAT', tensorShape: shape } },
    },
    modelTopology: { node, versions: { producer: 1 } },
    weightsManifest: [{ paths: ['weights.bin'], weights }],
  };
  await writeFile(join(folder, 'model.json'), JSON.stringify(model));
  await writeFile(join(folder, 'weights.bin'), new Uint8Array(4 * layers));
}

/** Forces a cut, or none. */
export async function writePlacement(modelsFolder: string, model: string, stages: number): Promise<void> {
  const placement = stages === 1 ? { mode: 'data' } : { mode: 'pipeline', stages };
  await writeFile(join(modelsFolder, model, 'serving.json'), JSON.stringify({ placement }));
}
