/** The code that does what the page does now: exact, and ready to paste. */
import type { NamedTensors, TensorData } from '@shoal/protocol';
import type { ImageInput } from './input-kind.ts';

/** A picture stands in a file; numbers stand in the code. */
export type SnippetInput =
  | { readonly kind: 'image'; readonly image: ImageInput }
  | { readonly kind: 'json'; readonly json: string; readonly tensors: NamedTensors };

export interface SnippetState {
  readonly origin: string;
  readonly model: string;
  readonly version: number;
  readonly input: SnippetInput;
}

/** Where the gateway listens unless its operator moved it. */
const REST_PORT = 8501;

/** A client of `@shoal/mesh` that asks for the same prediction. The token is left out: it is a secret. */
export function sdkSnippet({ origin, model, version, input }: SnippetState): string {
  return [
    `import { connect } from '@shoal/mesh/client';`,
    '',
    `const mesh = await connect({ url: '${origin}', token });`,
    `const model = await mesh.model('${model}', { version: ${version} });`,
    '',
    ...(input.kind === 'image' ? imageLines(input.image) : [`const input = ${inputLiteral(input.tensors)};`]),
    `const { outputs, microbatches, totalMs } = await model.predictTraced(input);`,
  ].join('\n');
}

function imageLines({ height, width, channels }: ImageInput): string[] {
  const value = channels === 3 ? `rgba[Math.floor(i / 3) * 4 + (i % 3)] / 255` : `luminance(i * 4)`;
  const luminance = `const luminance = (i) => (0.299 * rgba[i] + 0.587 * rgba[i + 1] + 0.114 * rgba[i + 2]) / 255;`;
  return [
    `const context = new OffscreenCanvas(${width}, ${height}).getContext('2d');`,
    `context.imageSmoothingQuality = 'high';`,
    `context.drawImage(await createImageBitmap(file), 0, 0, ${width}, ${height});`,
    `const rgba = context.getImageData(0, 0, ${width}, ${height}).data;`,
    ...(channels === 1 ? [luminance] : []),
    `const data = Float32Array.from({ length: ${height * width * channels} }, (_, i) => ${value});`,
    `const input = { dtype: 'float32', shape: [1, ${height}, ${width}, ${channels}], data };`,
  ];
}

function inputLiteral(tensors: NamedTensors): string {
  const entries = Object.entries(tensors);
  const [only] = entries;
  if (entries.length === 1 && only !== undefined) return tensorLiteral(only[1]);
  return `{ ${entries.map(([name, tensor]) => `${JSON.stringify(name)}: ${tensorLiteral(tensor)}`).join(', ')} }`;
}

const ARRAY_OF_DTYPE = { float32: 'Float32Array', int32: 'Int32Array', bool: 'Uint8Array', string: '' } as const;

function tensorLiteral({ dtype, shape, data }: TensorData): string {
  const values = Array.from(data as ArrayLike<number | string>, (value) => JSON.stringify(value)).join(', ');
  const array = dtype === 'string' ? `[${values}]` : `${ARRAY_OF_DTYPE[dtype]}.of(${values})`;
  return `{ dtype: '${dtype}', shape: [${shape.join(', ')}], data: ${array} }`;
}

/** The same over REST. `bodyFile` stands for a body too long to print. */
export function curlSnippet({ origin, model, version, input }: SnippetState, bodyFile: string): string {
  const url = `http://${new URL(origin).hostname}:${REST_PORT}/v1/models/${model}/versions/${version}:predict`;
  const body = input.kind === 'image' ? `@${bodyFile}` : quoted(restBody(input.json));
  return `curl -d ${body} ${url}`;
}

/** TensorFlow Serving's body: rows (`instances`) for a list, columns (`inputs`) for an object by input name. */
export function restBody(json: string): string {
  const trimmed = json.trim();
  return trimmed.startsWith('{') ? `{"inputs":${trimmed}}` : `{"instances":${trimmed}}`;
}

/** The same body for a picture's tensor: nested lists in the tensor's own shape. */
export function restBodyOfTensor({ shape, data }: TensorData): string {
  const nest = (axis: number, offset: number, size: number): unknown => {
    const length = shape[axis];
    if (length === undefined) return data[offset];
    const inner = size / length;
    return Array.from({ length }, (_, index) => nest(axis + 1, offset + index * inner, inner));
  };
  return JSON.stringify({ instances: nest(0, 0, data.length) });
}

/** Single-quoted for a POSIX shell. */
const quoted = (text: string): string => `'${text.replaceAll("'", String.raw`'\''`)}'`;
