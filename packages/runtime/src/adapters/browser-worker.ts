/** Entry of the page's worker. */
import plain from '@tensorflow/tfjs-backend-wasm/dist/tfjs-backend-wasm.wasm?url';
import simd from '@tensorflow/tfjs-backend-wasm/dist/tfjs-backend-wasm-simd.wasm?url';
import threaded from '@tensorflow/tfjs-backend-wasm/dist/tfjs-backend-wasm-threaded-simd.wasm?url';
import type * as Comlink from 'comlink';
import { TfjsExecutor } from './tfjs-executor.ts';
import { offerExecutor } from './thread-endpoint.ts';

const absolute = (path: string): string => new URL(path, self.location.href).href;

offerExecutor(
  new TfjsExecutor({
    'tfjs-backend-wasm.wasm': absolute(plain),
    'tfjs-backend-wasm-simd.wasm': absolute(simd),
    'tfjs-backend-wasm-threaded-simd.wasm': absolute(threaded),
  }),
  self as unknown as Comlink.Endpoint,
);
