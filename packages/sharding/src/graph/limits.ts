/**
 * Bounds on what a model file may ask of its reader. They are far above any model that a browser can hold
 * and low enough that a hostile file costs milliseconds, not memory.
 */

/** Nodes of a GraphDef, or layer calls of a Keras model after nested models are unfolded. */
export const NODES_MAX = 65_536;
/** Inputs of one node; concatenations of generated models have some hundreds. */
export const NODE_INPUTS_MAX = 4_096;
/** Characters in the name of a node, layer, weight or signature entry; converters nest scopes to a few hundred. */
export const NAME_CHARS_MAX = 2_048;
/** Entries of all weight groups together. */
export const WEIGHTS_MAX = 65_536;
/** Files of all weight groups together; converters write 4 MiB a file, so this is 256 GiB. */
export const WEIGHT_FILES_MAX = 65_536;
/** Characters in a weight file's name: the limit of common file systems. */
export const PATH_CHARS_MAX = 255;
/** Bytes of one weight: the longest buffer that engines and WebGPU devices commonly give. */
export const WEIGHT_BYTES_MAX = 2 ** 32;
/** Bytes of all weight files together. */
export const MODEL_BYTES_MAX = 2 ** 40;
/** Dimensions of a shape; tfjs kernels take six, weights of any origin stay below eight. */
export const RANK_MAX = 8;
/** Size of one dimension: the range of int32, in which tfjs indexes. */
export const DIMENSION_MAX = 2 ** 31 - 1;
/** Nesting of the JSON: tfjs converts layer configurations recursively, without a bound of its own. */
export const JSON_DEPTH_MAX = 96;
/** JSON values in the file, so that its walk ends. */
export const JSON_VALUES_MAX = 8_388_608;
/** Models inside models of a Keras configuration. */
export const NESTED_MODELS_MAX = 8;
/** Elements of an integer constant that shape inference reads: enough for shapes, axes and paddings. */
export const CONSTANT_VALUES_MAX = 64;
/** Tensors and shared weights listed at all cuts together; a model of 20,000 layers with 100 alive has 2 million. */
export const CUT_ENTRIES_MAX = 4_194_304;
