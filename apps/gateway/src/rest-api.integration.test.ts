/** The REST contract over real HTTP, against a toy mesh. */
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startGateway, type Gateway } from './compose.ts';
import { HttpClient } from './testing/http-client.ts';
import { toyMesh, type ToyMesh } from './testing/toy-mesh.ts';

let mesh: ToyMesh;
let gateway: Gateway;
let http: HttpClient;

beforeAll(async () => {
  mesh = toyMesh();
  gateway = await startGateway({ mesh, models: mesh.directory, host: '127.0.0.1', restPort: 0, timeoutMs: 300 });
  http = new HttpClient(gateway.restUrl);
});
afterAll(async () => {
  http.close();
  await gateway.close();
});

const errorText = (text: string): string => JSON.stringify({ error: text }, null, 4);
const predict = (model: string, body: string) => http.post(`/v1/models/${model}:predict`, body);

describe('predict', () => {
  it("answers TensorFlow Serving's example character for character", async () => {
    const { status, headers, body } = await predict('half_plus_two', '{"instances": [1.0, 2.0, 5.0]}');
    expect(status).toBe(200);
    expect(headers['content-type']).toBe('application/json');
    expect(body).toBe('{\n    "predictions": [2.5, 3.0, 4.5\n    ]\n}');
  });

  it('takes rows and columns of several inputs and outputs', async () => {
    const rows = await predict('sum_and_product', '{"instances": [{"a": [1, 2], "b": [3, 4]}]}');
    expect(JSON.parse(rows.body)).toEqual({ predictions: [{ sum: [4, 6], product: [3, 8] }] });
    const columns = await predict('sum_and_product', '{"inputs": {"a": [[1, 2]], "b": [[3, 4]]}}');
    expect(JSON.parse(columns.body)).toEqual({ outputs: { sum: [[4, 6]], product: [[3, 8]] } });
  });

  it('carries texts, bytes, integers, truths and what is no number', async () => {
    const texts = await predict('upper', '{"instances": [{"b64": "aMOp"}, "b"]}');
    expect(JSON.parse(texts.body)).toEqual({
      predictions: [
        { upper: 'HÉ', raw_bytes: { b64: 'aMOp' } },
        { upper: 'B', raw_bytes: { b64: 'Yg==' } },
      ],
    });
    expect(JSON.parse((await predict('double', '{"instances": [[1, -2]]}')).body)).toEqual({ predictions: [[2, -4]] });
    expect(JSON.parse((await predict('not', '{"instances": [true, false]}')).body)).toEqual({
      predictions: [false, true],
    });
    const odd = await predict('half_plus_two', '{"instances": [NaN, Infinity, -Infinity, 0.2]}');
    expect(odd.body).toBe('{\n    "predictions": [NaN, Infinity, -Infinity, 2.1\n    ]\n}');
  });

  it('takes a version, a label and a signature, in any case, whatever the content type', async () => {
    for (const path of [
      '/v1/models/half_plus_two/versions/1:predict',
      '/v1/models/half_plus_two/versions/00000001:predict',
      '/v1/models/half_plus_two/labels/stable:predict',
      '/V1/MODELS/half_plus_two:PREDICT',
      '/v1/models/half%5Fplus_two:predict?query=ignored',
    ]) {
      const reply = await http.post(path, '{"instances": [1]}', { 'content-type': 'no type at all' });
      expect([path, reply.status]).toEqual([path, 200]);
    }
    const named = await predict('half_plus_two', '{"signature_name": "any", "inputs": [[[6]]]}');
    expect(JSON.parse(named.body)).toEqual({ outputs: [[[5]]] });
  });

  it('takes and gives whole pictures', { timeout: 60_000 }, async () => {
    const patient = await startGateway({ mesh, models: mesh.directory, host: '127.0.0.1', restPort: 0 });
    const client = new HttpClient(patient.restUrl);
    const picture = Array.from({ length: 224 }, (_row, y) =>
      Array.from({ length: 224 }, (_column, x) => [x / 224, y / 224, (x * y) / 50_176]),
    );
    const body = JSON.stringify({ signature_name: 'pictures', instances: [picture] });
    const reply = await client.post('/v1/models/half_plus_two:predict', body);
    expect([reply.status, reply.headers['transfer-encoding']]).toEqual([200, 'chunked']);
    const { predictions } = JSON.parse(reply.body) as { predictions: number[][][][] };
    const expected = Float32Array.from(picture.flat(2)).map((value) => value / 2 + 2);
    expect(Float32Array.from(predictions.flat(3))).toEqual(expected);
    client.close();
    await patient.close();
  });

  it('unpacks gzip', async () => {
    const body = gzipSync('{"instances": [1.0]}');
    const reply = await http.post('/v1/models/half_plus_two:predict', body, { 'content-encoding': 'gzip' });
    expect(reply.body).toBe('{\n    "predictions": [2.5\n    ]\n}');
  });

  it.each([
    ['half', '{"instances": [1]}', 404, 'Servable not found for request: Latest(half)'],
    ['half/versions/9', '{"instances": [1]}', 404, 'Servable not found for request: Specific(half, 9)'],
    [
      'half_plus_two/versions/9',
      '{"instances": [1]}',
      404,
      'Servable not found for request: Specific(half_plus_two, 9)',
    ],
    ['half_plus_two/labels/beta', '{"instances": [1]}', 400, 'Unrecognized servable version label: beta'],
    ['no%20such%20name', '{"instances": [1]}', 404, 'Servable not found for request: Latest(no such name)'],
    [
      'half_plus_two/versions/9223372036854775807',
      '{"instances": [1]}',
      404,
      /^Servable not found for request: Specific\(half_plus_two, \d+\)/,
    ],
    [
      'half_plus_two/versions/9223372036854775808',
      '{"instances": [1]}',
      400,
      'Failed to convert version: 9223372036854775808 to numeric.',
    ],
    [
      'half_plus_two',
      '{"instances": [1], "signature_name": "x"}',
      400,
      'Serving signature name: "x" not found in signature def',
    ],
    ['half_plus_two', '{}', 400, "Missing 'inputs' or 'instances' key"],
    ['half_plus_two', '', 400, 'JSON Parse error: The document is empty'],
    ['half_plus_two', 'NaN', 400, 'JSON Value: NaN Is not object'],
    [
      'half_plus_two',
      '{"instances": [1], "inputs": [1]}',
      400,
      "Not formatted correctly expecting only one of 'inputs' or 'instances' keys to exist",
    ],
    ['half_plus_two', '{"instances": [[1]]}', 400, 'BAD_INPUT: input "x": shape is [1,1], expected [-1]'],
    ['half_plus_two', '{"instances": ["1"]}', 400, /JSON Value: "1" Type: String is not of expected type: float/],
    ['half_plus_two', '{"instances": [1e309]}', 400, /^JSON Parse error: Number too big to be stored in double\./],
    ['double', '{"instances": [[NaN, 1]]}', 400, /JSON Value: NaN Type: Number is not of expected type: int32/],
    ['ragged', '{"instances": [1, 2]}', 400, 'Tensor name: b has inconsistent batch size: 1 expecting: 2'],
    ['unserved', '{"instances": [1]}', 503, 'NO_CAPACITY: No node is ready to serve this model.'],
    ['never', '{"instances": [1]}', 504, /^DEADLINE: no result in \d+ ms$/],
    ['deaf', '{"instances": [1]}', 504, /^DEADLINE: no result in 300 ms$/],
    ['broken', '{"instances": [1]}', 500, 'INTERNAL: a bug of ours'],
  ])('refuses %s with %s: %i', async (path, body, status, text) => {
    const reply = await predict(path, body);
    expect(reply.status).toBe(status);
    expect(reply.headers['content-type']).toBe('application/json');
    const { error } = JSON.parse(reply.body) as { error: string };
    expect(error).toMatch(text);
    expect(reply.body).toBe(errorText(error));
  });

  it('says when to come back where a retry may help', async () => {
    expect((await predict('unserved', '{"instances": [1]}')).headers['retry-after']).toBe('1');
    expect((await predict('broken', '{"instances": [1]}')).headers['retry-after']).toBeUndefined();
  });

  it('calls the request off when its client goes away', async () => {
    const slow = await startGateway({ mesh, models: mesh.directory, host: '127.0.0.1', restPort: 0 });
    const client = new HttpClient(slow.restUrl);
    const controller = new AbortController();
    const { cancelled, underWay } = mesh;
    const call = client.call('/v1/models/never:predict', {
      method: 'POST',
      body: '{"instances": [1]}',
      signal: controller.signal,
    });
    await expect.poll(() => mesh.underWay).toBe(underWay + 1);
    controller.abort();
    await expect(call).rejects.toThrow('aborted');
    await expect.poll(() => mesh.cancelled).toBe(cancelled + 1);
    expect(mesh.underWay).toBe(underWay);
    client.close();
    await slow.close();
  });
});

describe('classify and regress', () => {
  it("answers TensorFlow Serving's example of a regression character for character", async () => {
    const body = '{"signature_name": "serving_default", "examples": [{"x": 1.0}, {"x": 2.0}]}';
    const reply = await http.post('/v1/models/half_plus_two:regress', body);
    expect([reply.status, reply.body]).toEqual([200, '{\n    "results": [2.5, 3.0]\n}']);
  });

  it("classifies by the model's class names", async () => {
    const body = '{"context": {"width": 1}, "examples": [{"length": [2, 4]}]}';
    const reply = await http.post('/v1/models/flowers/versions/1:classify', body);
    expect(JSON.parse(reply.body)).toEqual({
      results: [
        [
          ['rose', 1.25],
          ['daisy', 1.5],
        ],
      ],
    });
  });

  it('refuses in the same way as predict', async () => {
    const reply = await http.post('/v1/models/half_plus_two:classify', '{"examples": [{"x": [1, 2.5]}]}');
    expect([reply.status, reply.body]).toEqual([
      400,
      errorText('Unexpected element type in feature: x expecting type: int64'),
    ]);
    const other = await http.post('/v1/models/sum_and_product:regress', '{"examples": [{"a": [1, 2], "b": [1, 2]}]}');
    expect([other.status, other.body]).toEqual([
      400,
      errorText('Expected regression signature outputs to contain "outputs"'),
    ]);
  });
});

describe('paths', () => {
  it.each([
    ['GET', '/v1/models', 400, 'Missing model name in request.'],
    ['GET', '/v1/models/versions/1', 400, 'Missing model name in request.'],
    ['GET', '/v1/models/half_plus_two:predict', 400, 'Malformed request: GET /v1/models/half_plus_two:predict'],
    ['POST', '/v1/models/half_plus_two', 400, 'Malformed request: POST /v1/models/half_plus_two'],
    ['POST', '/v1/models/half_plus_two:train', 400, 'Malformed request: POST /v1/models/half_plus_two:train'],
    ['PUT', '/v1/models/half_plus_two:predict', 400, 'Malformed request: PUT /v1/models/half_plus_two:predict'],
    ['DELETE', '/v1/models/half_plus_two', 400, 'Malformed request: DELETE /v1/models/half_plus_two'],
    ['PURGE', '/v1/models/half_plus_two', 400, 'Malformed request: PURGE /v1/models/half_plus_two'],
    ['QUERY', '/v1/models/half_plus_two', 400, 'Malformed request: QUERY /v1/models/half_plus_two'],
    ['GET', '/v1/models/half%ff', 400, 'Malformed request: GET /v1/models/half%ff'],
    ['GET', '/v1/', 400, 'Malformed request: GET /v1/'],
    ['GET', '/v1/models/a/labels/b/versions/1', 400, /^Malformed request/],
    ['GET', `/v1/${'x'.repeat(2000)}`, 400, /^Malformed request: GET \/v1\/x+\.\.\.$/],
    ['GET', '/', 404, 'Not found: GET /'],
    ['POST', '/favicon.ico', 404, 'Not found: POST /favicon.ico'],
  ])('%s %s is %i', async (method, path, status, text) => {
    const reply = await http.call(path, { method });
    expect(reply.status).toBe(status);
    expect((JSON.parse(reply.body) as { error: string }).error).toMatch(text);
  });

  it('answers a preflight that names its origin, with CORS headers where they are allowed', async () => {
    const headers = { origin: 'https://example.org' };
    const path = '/v1/models/half_plus_two:predict';
    const off = await http.call(path, { method: 'OPTIONS', headers });
    expect([off.status, off.headers['access-control-allow-origin']]).toEqual([200, undefined]);
    const missing = await http.call(path, { method: 'OPTIONS' });
    expect([missing.status, missing.body]).toEqual([400, errorText('Origin header is missing in CORS preflight')]);

    const open = await startGateway({ mesh, models: mesh.directory, host: '127.0.0.1', restPort: 0, cors: true });
    const client = new HttpClient(open.restUrl);
    for (const reply of [
      await client.call(path, { method: 'OPTIONS', headers }),
      await client.post(path, '{"instances": [1]}', headers),
      await client.post(path, 'broken', headers),
    ]) {
      expect(reply.headers).toMatchObject({
        'access-control-allow-origin': '*',
        'access-control-allow-methods': 'POST, GET',
        'access-control-allow-headers': 'Content-Type',
      });
    }
    client.close();
    await open.close();
  });
});

describe('status, metadata, list and readiness', () => {
  it('gives the status of all versions, or of one, as TensorFlow Serving prints it', async () => {
    const printed = [
      '{',
      ' "model_version_status": [',
      '  {',
      '   "version": "1",',
      '   "state": "AVAILABLE",',
      '   "status": {',
      '    "error_code": "OK",',
      '    "error_message": ""',
      '   }',
      '  }',
      ' ]',
      '}',
    ].join('\n');
    for (const path of ['', '/versions/1', '/labels/whatever']) {
      const reply = await http.call(`/v1/models/half_plus_two${path}`);
      expect([reply.status, reply.body.trim()]).toEqual([200, printed]);
    }
    expect(JSON.parse((await http.call('/v1/models/unserved')).body)).toEqual({
      model_version_status: [
        {
          version: '1',
          state: 'LOADING',
          status: { error_code: 'UNAVAILABLE', error_message: 'NO_CAPACITY: no node is ready' },
        },
      ],
    });
  });

  it.each([
    ['/v1/models/half', 'Could not find any versions of model half'],
    ['/v1/models/half_plus_two/versions/9', 'Could not find version 9 of model half_plus_two'],
    ['/v1/models/half/metadata', 'Servable not found for request: Latest(half)'],
  ])('knows nothing of %s', async (path, text) => {
    expect(await http.call(path)).toMatchObject({ status: 404, body: errorText(text) });
  });

  it('gives metadata with its double signature_def', async () => {
    const { status, body } = await http.call('/v1/models/double/versions/1/metadata');
    expect(status).toBe(200);
    const info = (name: string) => ({
      dtype: 'DT_INT32',
      tensor_shape: {
        dim: [
          { size: '-1', name: '' },
          { size: '2', name: '' },
        ],
        unknown_rank: false,
      },
      name,
    });
    expect(JSON.parse(body)).toEqual({
      model_spec: { name: 'double', signature_name: '', version: '1' },
      metadata: {
        signature_def: {
          signature_def: {
            serving_default: {
              inputs: { n: info('n:0') },
              outputs: { doubled: info('doubled:0') },
              method_name: 'tensorflow/serving/predict',
            },
          },
        },
      },
    });
    const any = JSON.parse((await http.call('/v1/models/half_plus_two/metadata')).body) as {
      metadata: { signature_def: { signature_def: { any: { inputs: { x: { tensor_shape: unknown } } } } } };
    };
    expect(any.metadata.signature_def.signature_def.any.inputs.x.tensor_shape).toEqual({ dim: [], unknown_rank: true });
  });

  it('lists models, and says which keeps it from being ready', async () => {
    const list = JSON.parse((await http.call('/v1/shoal/models')).body) as { models: { name: string }[] };
    expect(list.models.map(({ name }) => name)).toContain('half_plus_two');
    expect(list.models.find(({ name }) => name === 'half_plus_two')).toMatchObject({ labels: { stable: '1' } });
    const ready = await http.call('/v1/shoal/ready');
    expect(ready.status).toBe(503);
    expect(JSON.parse(ready.body)).toEqual({
      ready: false,
      reasons: ['unserved version 1 is LOADING: NO_CAPACITY: no node is ready'],
    });
  });
});
