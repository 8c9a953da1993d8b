/** The sections in the order of the page. */
import type { Section } from './clause.ts';
import { batching } from './sections/batching.ts';
import { grpcErrors } from './sections/grpc-errors.ts';
import { grpcPredict } from './sections/grpc-predict.ts';
import { grpcServices } from './sections/grpc-services.ts';
import { metrics } from './sections/metrics.ts';
import { restErrors } from './sections/rest-errors.ts';
import { restExamples } from './sections/rest-examples.ts';
import { restPredict } from './sections/rest-predict.ts';
import { restStatus } from './sections/rest-status.ts';
import { restUrls } from './sections/rest-urls.ts';
import { startUp } from './sections/start-up.ts';
import { versions } from './sections/versions.ts';

export const SECTIONS: readonly Section[] = [
  startUp,
  restUrls,
  restPredict,
  restExamples,
  restStatus,
  restErrors,
  grpcPredict,
  grpcServices,
  grpcErrors,
  versions,
  batching,
  metrics,
];
