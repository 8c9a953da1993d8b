export { heldOutDigits, wholeHeldOutDigits } from './held-out-digits.ts';
export { readMnistPackage, splitDigits, type LabelledDigits } from './mnist-package.ts';
export type { NsfwModelName } from './nsfw-model.ts';
export { samplePictures, type SamplePicture } from './pictures.ts';
export type { PreparedModel } from './place-model.ts';
export { extractNsfwModel, extractSentenceEncoder, prepareSampleModels } from './prepare.ts';
export { sentenceInputs } from './sentence-encoder.ts';
