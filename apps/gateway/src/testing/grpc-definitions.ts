/**
 * TensorFlow Serving's services as a client knows them, from the public field numbers and apart from the server's own
 * definitions: a mistake in one of the two shows.
 */
import { fromJSON } from '@grpc/proto-loader';

const field = (type: string, id: number) => ({ type, id });
const list = (type: string, id: number) => ({ rule: 'repeated', type, id });
const map = (type: string, id: number) => ({ keyType: 'string', type, id });
const rpc = (requestType: string, responseType: string) => ({ requestType, responseType });
const message = (
  fields: Record<string, { type: string; id: number; keyType: string } | { type: string; id: number }>,
) => ({
  fields,
});

const result = (type: string) => message({ result: field(type, 1), model_spec: field('ModelSpec', 2) });

const serving = {
  ModelSpec: message({
    name: field('string', 1),
    version: field('google.protobuf.Int64Value', 2),
    version_label: field('string', 4),
    signature_name: field('string', 3),
  }),
  PredictRequest: message({
    model_spec: field('ModelSpec', 1),
    inputs: map('tensorflow.TensorProto', 2),
    output_filter: list('string', 3),
    client_id: field('bytes', 6),
  }),
  PredictResponse: message({ outputs: map('tensorflow.TensorProto', 1), model_spec: field('ModelSpec', 2) }),
  ExampleList: message({ examples: list('tensorflow.Example', 1) }),
  ExampleListWithContext: message({
    examples: list('tensorflow.Example', 1),
    context: field('tensorflow.Example', 2),
  }),
  Input: message({
    example_list: field('ExampleList', 1),
    example_list_with_context: field('ExampleListWithContext', 2),
  }),
  ExamplesRequest: message({ model_spec: field('ModelSpec', 1), input: field('Input', 2) }),
  Class: message({ label: field('string', 1), score: field('float', 2) }),
  Classifications: message({ classes: list('Class', 1) }),
  ClassificationResult: message({ classifications: list('Classifications', 1) }),
  ClassificationResponse: result('ClassificationResult'),
  Regression: message({ value: field('float', 1) }),
  RegressionResult: message({ regressions: list('Regression', 1) }),
  RegressionResponse: result('RegressionResult'),
  InferenceTask: message({ model_spec: field('ModelSpec', 1), method_name: field('string', 2) }),
  InferenceResult: message({
    model_spec: field('ModelSpec', 1),
    classification_result: field('ClassificationResult', 2),
    regression_result: field('RegressionResult', 3),
  }),
  MultiInferenceRequest: message({ tasks: list('InferenceTask', 1), input: field('Input', 2) }),
  MultiInferenceResponse: message({ results: list('InferenceResult', 1) }),
  GetModelMetadataRequest: message({ model_spec: field('ModelSpec', 1), metadata_field: list('string', 2) }),
  GetModelMetadataResponse: message({
    model_spec: field('ModelSpec', 1),
    metadata: map('google.protobuf.Any', 2),
  }),
  SignatureDefMap: message({ signature_def: map('tensorflow.SignatureDef', 1) }),
  StatusProto: message({ error_code: field('int32', 1), error_message: field('string', 2) }),
  GetModelStatusRequest: message({ model_spec: field('ModelSpec', 1) }),
  ModelVersionStatus: message({
    version: field('int64', 1),
    state: field('int32', 2),
    status: field('StatusProto', 3),
  }),
  GetModelStatusResponse: message({ model_version_status: list('ModelVersionStatus', 1) }),
  Latest: message({ num_versions: field('uint32', 1) }),
  All: message({}),
  Specific: message({ versions: list('int64', 1) }),
  ServableVersionPolicy: message({
    latest: field('Latest', 100),
    all: field('All', 101),
    specific: field('Specific', 102),
  }),
  ModelConfig: message({
    name: field('string', 1),
    base_path: field('string', 2),
    model_platform: field('string', 4),
    model_version_policy: field('ServableVersionPolicy', 7),
    version_labels: map('int64', 8),
  }),
  ModelConfigList: message({ config: list('ModelConfig', 1) }),
  ModelServerConfig: message({
    model_config_list: field('ModelConfigList', 1),
    custom_model_config: field('google.protobuf.Any', 2),
  }),
  ReloadConfigRequest: message({ config: field('ModelServerConfig', 1), metric_names: list('string', 2) }),
  ReloadConfigResponse: message({ status: field('StatusProto', 1) }),
  PredictionService: {
    methods: {
      Classify: rpc('ExamplesRequest', 'ClassificationResponse'),
      Regress: rpc('ExamplesRequest', 'RegressionResponse'),
      Predict: rpc('PredictRequest', 'PredictResponse'),
      MultiInference: rpc('MultiInferenceRequest', 'MultiInferenceResponse'),
      GetModelMetadata: rpc('GetModelMetadataRequest', 'GetModelMetadataResponse'),
    },
  },
  ModelService: {
    methods: {
      GetModelStatus: rpc('GetModelStatusRequest', 'GetModelStatusResponse'),
      HandleReloadConfigRequest: rpc('ReloadConfigRequest', 'ReloadConfigResponse'),
    },
  },
};

const tensorflow = {
  Dim: message({ size: field('int64', 1), name: field('string', 2) }),
  TensorShapeProto: message({ dim: list('Dim', 2), unknown_rank: field('bool', 3) }),
  TensorProto: message({
    dtype: field('int32', 1),
    tensor_shape: field('TensorShapeProto', 2),
    version_number: field('int32', 3),
    tensor_content: field('bytes', 4),
    float_val: list('float', 5),
    double_val: list('double', 6),
    int_val: list('int32', 7),
    string_val: list('bytes', 8),
    scomplex_val: list('float', 9),
    int64_val: list('int64', 10),
    bool_val: list('bool', 11),
    half_val: list('int32', 13),
    uint32_val: list('uint32', 16),
    uint64_val: list('uint64', 17),
  }),
  BytesList: message({ value: list('bytes', 1) }),
  FloatList: message({ value: list('float', 1) }),
  Int64List: message({ value: list('int64', 1) }),
  Feature: message({
    bytes_list: field('BytesList', 1),
    float_list: field('FloatList', 2),
    int64_list: field('Int64List', 3),
  }),
  Features: message({ feature: map('Feature', 1) }),
  Example: message({ features: field('Features', 1) }),
  TensorInfo: message({
    name: field('string', 1),
    dtype: field('int32', 2),
    tensor_shape: field('TensorShapeProto', 3),
  }),
  SignatureDef: message({
    inputs: map('TensorInfo', 1),
    outputs: map('TensorInfo', 2),
    method_name: field('string', 3),
  }),
  serving: { nested: serving },
};

const health = {
  HealthCheckRequest: message({ service: field('string', 1) }),
  HealthCheckResponse: message({ status: field('int32', 1) }),
  Health: { methods: { Check: rpc('HealthCheckRequest', 'HealthCheckResponse') } },
};

const reflection = {
  ServerReflectionRequest: message({ file_containing_symbol: field('string', 4), list_services: field('string', 7) }),
  FileDescriptorResponse: message({ file_descriptor_proto: list('bytes', 1) }),
  ServiceResponse: message({ name: field('string', 1) }),
  ListServiceResponse: message({ service: list('ServiceResponse', 1) }),
  ServerReflectionResponse: message({
    file_descriptor_response: field('FileDescriptorResponse', 4),
    list_services_response: field('ListServiceResponse', 6),
  }),
  ServerReflection: {
    methods: {
      ServerReflectionInfo: {
        ...rpc('ServerReflectionRequest', 'ServerReflectionResponse'),
        requestStream: true,
        responseStream: true,
      },
    },
  },
};

const protobuf = {
  Any: message({ type_url: field('string', 1), value: field('bytes', 2) }),
  Int64Value: message({ value: field('int64', 1) }),
};

const root = {
  nested: {
    tensorflow: { nested: tensorflow },
    grpc: {
      nested: {
        health: { nested: { v1: { nested: health } } },
        reflection: { nested: { v1: { nested: reflection } } },
      },
    },
    google: { nested: { protobuf: { nested: protobuf } } },
  },
};

/** Longs are strings; a field that is not sent is not there. */
export const clientDefinitions = fromJSON(root as Parameters<typeof fromJSON>[0], { keepCase: true, longs: String });
