/** The services as the `.proto` files of this folder define them. */
import { fileURLToPath } from 'node:url';
import type { MethodDefinition, ServiceDefinition } from '@grpc/grpc-js';
import { loadSync, type MessageTypeDefinition, type PackageDefinition } from '@grpc/proto-loader';

const PROTO_FOLDER = fileURLToPath(new URL('./proto', import.meta.url));
const PACKAGE = 'tensorflow.serving';

export const PREDICTION_SERVICE: string = `${PACKAGE}.PredictionService`;
export const MODEL_SERVICE: string = `${PACKAGE}.ModelService`;

export function loadDefinitions(): PackageDefinition {
  return loadSync(['serving.proto', 'error-codes.proto', 'tensorflow.proto'], {
    includeDirs: [PROTO_FOLDER],
    keepCase: true,
    defaults: true,
    longs: String,
    enums: String,
    oneofs: true,
  });
}

type Definition = MethodDefinition<object, object>;

/** A service's methods by name. */
export function methodsOf(definitions: PackageDefinition, service: string): Readonly<Record<string, Definition>> {
  return definitions[service] as ServiceDefinition;
}

/** The bytes of a message that is sent within another one. */
export function encode(definitions: PackageDefinition, message: string, value: object): Buffer {
  return (definitions[message] as MessageTypeDefinition<object, object>).serialize(value);
}
