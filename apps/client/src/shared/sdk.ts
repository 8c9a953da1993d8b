/** The SDK as the pages see it: types alone, so that no page loads it before it is wanted. */
export type {
  ConnectOptions,
  ContributeOptions,
  ContributedNode,
  Mesh,
  MeshModel,
  MicrobatchTrace,
  ModelInput,
  NodeModelStatus,
  NodePhase,
  NodeSnapshot,
  Prediction,
} from '@shoal/mesh/client';
