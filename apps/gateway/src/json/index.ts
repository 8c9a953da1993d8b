/** TensorFlow Serving's JSON, for whoever reads requests and prints answers without HTTP. */
export { readPredictRequest } from './predict-request.ts';
export { writePredictResponse } from './predict-response.ts';
