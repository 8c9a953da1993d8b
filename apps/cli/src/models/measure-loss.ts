/** What a change of the weights does to the answers: two models on the same inputs. */
import type { NamedTensors } from '@shoal/protocol';
import { madeUpInputs } from '@shoal/runtime';
import { goldenTensors, outputError, type GoldenVector, type Manifest } from '@shoal/sharding';
import { loadModel, withExecutor } from './prove-model.ts';
import type { ModelFiles } from './model-folder.ts';

export interface Loss {
  readonly inputs: number;
  /** Whether the inputs are the golden vectors of serving.json, or made up. */
  readonly isGolden: boolean;
  /** |changed - original| / |original| in the Euclidean norm over all floating outputs, worst and mean over the inputs. */
  readonly relativeL2Max: number;
  readonly relativeL2Mean: number;
  /** Share of rows whose largest output stays the same; null where no output has classes. */
  readonly topOneAgreement: number | null;
  /** The golden vectors with the answers of the changed model: what its nodes must give. */
  readonly golden: readonly GoldenVector[];
}

/** @throws MeshError EXECUTION_FAILED */
export async function measureLoss(manifest: Manifest, original: ModelFiles, changed: ModelFiles): Promise<Loss> {
  return withExecutor(async (executor) => {
    await loadModel(executor, 'original', manifest, original);
    await loadModel(executor, 'changed', manifest, changed);
    const runs = inputsOf(manifest);
    const losses: number[] = [];
    let rows = 0;
    let changedRows = 0;
    const answers: NamedTensors[] = [];
    for (const { signature, make } of runs) {
      // An executor takes its inputs' memory over: each run gets its own.
      const expected = (await executor.run('original', signature, make())).outputs;
      const actual = (await executor.run('changed', signature, make())).outputs;
      answers.push(actual);
      const error = outputError(expected, actual);
      losses.push(error.relativeL2);
      rows += error.rows;
      changedRows += error.changedRows;
    }
    return {
      inputs: runs.length,
      isGolden: manifest.golden.length > 0,
      relativeL2Max: Math.max(0, ...losses),
      relativeL2Mean: losses.reduce((sum, loss) => sum + loss, 0) / Math.max(1, losses.length),
      topOneAgreement: rows === 0 ? null : 1 - changedRows / rows,
      golden: manifest.golden.map((vector, i) => ({ ...vector, outputs: goldenData(answers[i] ?? {}) })),
    };
  });
}

interface Run {
  readonly signature: string;
  readonly make: () => NamedTensors;
}

function inputsOf({ golden, signatures }: Manifest): Run[] {
  if (golden.length > 0)
    return golden.map(({ signature, inputs }) => ({ signature, make: () => goldenTensors(inputs) }));
  return Object.entries(signatures).map(([signature, spec]) => ({ signature, make: () => madeUpInputs(spec) }));
}

function goldenData(tensors: NamedTensors): GoldenVector['outputs'] {
  const entries = Object.entries(tensors).map(([name, { dtype, shape, data }]) => {
    const values = dtype === 'string' ? [...(data as string[])] : Array.from(data as ArrayLike<number>);
    return [name, { dtype, shape: [...shape], data: values }] as const;
  });
  return Object.fromEntries(entries);
}
