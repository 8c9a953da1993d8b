/**
 * Paths of TensorFlow Serving's REST API, by the regular expressions of `http_rest_api_util.cc`, and the few that
 * the gateway adds under `/v1/shoal/`.
 */
import type { Verb } from './json/infer-request.ts';
import { RestError } from './rest-answer.ts';

/** Which version of a model is meant: the one named, the one labelled, else the latest. */
export interface ModelSpec {
  readonly name: string;
  readonly version?: number;
  readonly label?: string;
}

export type Route =
  | { readonly type: 'infer'; readonly verb: Verb; readonly spec: ModelSpec }
  | { readonly type: 'status'; readonly spec: ModelSpec }
  | { readonly type: 'metadata'; readonly spec: ModelSpec }
  | { readonly type: 'list' }
  | { readonly type: 'ready' }
  | { readonly type: 'metrics' };

const INFER = /^\/v1\/models\/([^/:]+)(?:(?:\/versions\/(\d+))|(?:\/labels\/([^/:]+)))?:(classify|regress|predict)$/i;
const STATUS = /^\/v1\/models(?:\/([^/:]+))?(?:(?:\/versions\/(\d+))|(?:\/labels\/([^/:]+)))?(?:\/(metadata))?$/i;
const LIST = '/v1/shoal/models';
const READY = '/v1/shoal/ready';
/** TensorFlow Serving's default. */
const METRICS = '/monitoring/prometheus/metrics';
/** Versions are int64 in TensorFlow Serving. */
const VERSION_MAX = 2n ** 63n - 1n;
/** Characters of a path that an error message quotes. */
const PATH_MAX = 256;

/**
 * @param path without its query, as it came, not decoded
 * @throws RestError 400 for what no path of the API looks like, 404 outside of `/v1/`
 */
export function parseRoute(method: string, path: string): Route {
  if (method === 'GET' && path === LIST) return { type: 'list' };
  if (method === 'GET' && path === READY) return { type: 'ready' };
  if (method === 'GET' && path === METRICS) return { type: 'metrics' };
  const infer = method === 'POST' ? INFER.exec(path) : null;
  if (infer !== null) {
    const [, name = '', version, label, verb = ''] = infer;
    return { type: 'infer', verb: verb.toLowerCase() as Verb, spec: modelSpec(name, version, label) };
  }
  const status = method === 'GET' ? STATUS.exec(path) : null;
  if (status !== null) {
    const [, name, version, label, metadata] = status;
    if (name === undefined) throw new RestError(400, 'Missing model name in request.');
    return { type: metadata === undefined ? 'status' : 'metadata', spec: modelSpec(name, version, label) };
  }
  const shown = path.length > PATH_MAX ? `${path.slice(0, PATH_MAX)}...` : path;
  if (!/^\/v1\//i.test(path)) throw new RestError(404, `Not found: ${method} ${shown}`);
  throw new RestError(400, `Malformed request: ${method} ${shown}`);
}

function modelSpec(name: string, version: string | undefined, label: string | undefined): ModelSpec {
  const spec = { name: decode(name, 'model name') };
  if (version !== undefined) {
    if (version.length > 30 || BigInt(version) > VERSION_MAX) {
      throw new RestError(400, `Failed to convert version: ${version.slice(0, PATH_MAX)} to numeric.`);
    }
    return { ...spec, version: Number(version) };
  }
  return label === undefined ? spec : { ...spec, label: decode(label, 'model version label') };
}

function decode(text: string, what: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    throw new RestError(400, `Failed to decode ${what}: ${text.slice(0, PATH_MAX)}`);
  }
}
