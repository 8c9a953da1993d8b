/** `@shoal/mesh/inputs`: what the SDK does with a caller's tensors before it sends them, for whoever puts requests together. */
export { checkInputs, joinRows, rowsOf, signatureOf, type CheckedInputs } from '@shoal/sharding';
