/** Entry of the process that sends requests, so that it takes no time of the one that answers. Options as JSON in, figures as JSON out. */
import { text } from 'node:stream/consumers';
import autocannon from 'autocannon';
import type { HttpLoad, HttpLoadResult } from './http-load.ts';

const { url, body, connections, seconds, requestsPerSecond } = JSON.parse(await text(process.stdin)) as HttpLoad;
const tracker = autocannon({
  url,
  body,
  method: 'POST',
  connections,
  duration: seconds,
  ...(requestsPerSecond === undefined ? {} : { overallRate: requestsPerSecond }),
});
const latenciesMs: number[] = [];
tracker.on('response', (_client, status, _bytes, ms) => {
  if (status === 200) latenciesMs.push(ms);
});
const { errors, timeouts, non2xx, duration } = await tracker;
const result: HttpLoadResult = { latenciesMs, errors: errors + timeouts + non2xx, seconds: duration };
process.stdout.write(JSON.stringify(result));
