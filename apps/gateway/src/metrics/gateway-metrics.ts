/**
 * The gateway's figures for Prometheus: TensorFlow Serving's under its own names, units, labels and buckets
 * (`servables/tensorflow/util.cc`, `batching_session.cc`), and the mesh's as `shoal_*`. What they mean: docs/metrics.md.
 */
import type { Mesh, MeshModel, Prediction, TensorData } from '@shoal/mesh/client';
import { Counter, exponentialBuckets, Gauge, Histogram, Registry } from 'prom-client';
import type { BatchTold } from '../batching/model-queue.ts';
import { endingOf, type CountedRequest, type Entrypoint } from './counted-request.ts';
import type { ShadowComparison } from '../traffic/shadow-record.ts';

/** Scale of 10, power of 1.8, 33 buckets: to about 20 minutes, in microseconds. */
const LATENCY_US = exponentialBuckets(10, 1.8, 33);
/** Scale of 100, power of 1.2, 52 buckets: to about a second, in microseconds. */
const QUEUING_US = exponentialBuckets(100, 1.2, 52);
const EXAMPLES = exponentialBuckets(1, 2, 15);
/** From a tenth of a millisecond to 27 minutes. */
const MILLISECONDS = exponentialBuckets(0.1, 2, 24);
const ROWS = exponentialBuckets(1, 2, 11);

/** What waits in the gateway's queues now. */
export interface QueueDepth {
  readonly model: string;
  readonly version: number;
  readonly signature: string;
  readonly waitingRows: number;
  readonly waitingBatches: number;
}

export interface MetricsParts {
  readonly mesh: Pick<Mesh, 'figures'>;
  readonly comparisons: () => readonly ShadowComparison[];
  readonly queues: () => Iterable<QueueDepth>;
}

export class GatewayMetrics {
  readonly #registry = new Registry();
  readonly #servingCount = this.#counter(':tensorflow:serving:request_count', '', ['model_name', 'status']);
  readonly #servingLatency = this.#histogram(
    ':tensorflow:serving:request_latency',
    '',
    ['model_name', 'API', 'entrypoint'],
    LATENCY_US,
  );
  readonly #runtimeLatency = this.#histogram(
    ':tensorflow:serving:runtime_latency',
    '',
    ['model_name', 'API', 'runtime'],
    LATENCY_US,
  );
  readonly #exampleCounts = this.#histogram(':tensorflow:serving:request_example_counts', '', ['model'], EXAMPLES);
  readonly #exampleTotal = this.#counter(':tensorflow:serving:request_example_count_total', '', ['model']);
  readonly #queuing = this.#histogram(
    ':tensorflow:serving:batching_session:queuing_latency',
    '',
    ['thread_pool_name'],
    QUEUING_US,
  );
  readonly #requests = this.#counter('shoal_requests_total', 'Inference requests, by how they ended.', [
    'model',
    'entrypoint',
    'reason',
  ]);
  readonly #stage = this.#histogram(
    'shoal_stage_ms',
    'Milliseconds of a microbatch on a node, waiting or computing, by stage.',
    ['model', 'stage', 'part'],
    MILLISECONDS,
  );
  readonly #stageBytes = this.#counter(
    'shoal_stage_bytes_total',
    'Bytes of tensors that a stage handed on, by the codec that wrote them.',
    ['model', 'stage', 'codec'],
  );
  readonly #stagePlainBytes = this.#counter(
    'shoal_stage_plain_bytes_total',
    'Bytes that the same tensors took before they were written.',
    ['model', 'stage', 'codec'],
  );
  readonly #hop = this.#histogram(
    'shoal_hop_ms',
    'Milliseconds of a microbatch from peer to peer: what is not spent on nodes, by hop of its route.',
    ['model'],
    MILLISECONDS,
  );
  readonly #batchRows = this.#histogram(
    'shoal_batch_rows',
    'Rows of the batches that requests were put together to, without padding.',
    ['model'],
    ROWS,
  );
  readonly #padding = this.#counter('shoal_batch_padding_rows_total', 'Rows that only filled batches up.', ['model']);

  constructor({ mesh, queues, comparisons }: MetricsParts) {
    this.#gauge('shoal_queue_rows', 'Rows that wait for a batch.', ['model', 'version', 'signature'], (gauge) => {
      for (const { model, version, signature, waitingRows } of queues()) {
        gauge.set({ model, version, signature }, waitingRows);
      }
    });
    this.#gauge('shoal_queue_batches', 'Batches that wait.', ['model', 'version', 'signature'], (gauge) => {
      for (const { model, version, signature, waitingBatches } of queues()) {
        gauge.set({ model, version, signature }, waitingBatches);
      }
    });
    const perModel = ['model', 'version'] as const;
    this.#gauge('shoal_dispatch_rows', 'Rows that wait for a node.', perModel, (gauge) => {
      for (const { model, version, waitingRows } of mesh.figures()) gauge.set({ model, version }, waitingRows);
    });
    this.#gauge('shoal_microbatches_under_way', 'Microbatches that nodes have.', perModel, (gauge) => {
      for (const { model, version, underWay } of mesh.figures()) gauge.set({ model, version }, underWay);
    });
    this.#readCounter('shoal_microbatches_total', 'Microbatches sent, second tries included.', perModel, (counter) => {
      for (const { model, version, microbatches } of mesh.figures()) counter.inc({ model, version }, microbatches);
    });
    this.#readCounter('shoal_hedges_total', 'Second tries of late microbatches.', perModel, (counter) => {
      for (const { model, version, hedges } of mesh.figures()) counter.inc({ model, version }, hedges);
    });
    this.#readCounter('shoal_failovers_total', 'Microbatches sent again after a node failed.', perModel, (counter) => {
      for (const { model, version, failovers } of mesh.figures()) counter.inc({ model, version }, failovers);
    });
    const perShadow = ['model', 'version', 'shadow', 'outcome'] as const;
    this.#readCounter(
      'shoal_shadow_requests_total',
      'Requests drawn for a shadow version, by what came of them: compared, skipped, or the reason of a failure.',
      perShadow,
      (counter) => {
        for (const { model, version, shadowVersion: shadow, compared, skipped, failed } of comparisons()) {
          for (const [outcome, count] of Object.entries({ ...failed, compared, skipped })) {
            counter.inc({ model, version, shadow, outcome }, count);
          }
        }
      },
    );
    const labels = ['model', 'version', 'direction', 'encoding'] as const;
    this.#readCounter('shoal_tensor_bytes_total', 'Bytes of tensors, by how they are written.', labels, (counter) => {
      for (const { model, version, sentBytes, receivedBytes } of mesh.figures()) {
        for (const [direction, byEncoding] of [
          ['sent', sentBytes],
          ['received', receivedBytes],
        ] as const) {
          for (const [encoding, bytes] of Object.entries(byEncoding)) {
            counter.inc({ model, version, direction, encoding }, bytes);
          }
        }
      }
    });
  }

  /** A request for inference has come. */
  begin(api: string, entrypoint: Entrypoint): CountedRequest {
    const startedAtMs = performance.now();
    // Names that callers make up make no series.
    let name = '';
    return {
      model: (known) => {
        name = known;
      },
      ran: (ms, rows) => {
        const runtimeApi = `${api.charAt(0).toUpperCase()}${api.slice(1)}`;
        this.#runtimeLatency.observe({ model_name: name, API: runtimeApi, runtime: 'tfjs' }, 1000 * ms);
        // As TensorFlow Serving: examples are what Classify, Regress and MultiInference take.
        if (runtimeApi === 'Predict') return;
        this.#exampleCounts.observe({ model: name }, rows);
        this.#exampleTotal.inc({ model: name }, rows);
      },
      ended: (error) => {
        const { status, reason } = endingOf(error);
        this.#servingCount.inc({ model_name: name, status });
        this.#requests.inc({ model: name, entrypoint, reason });
        if (error !== undefined) return;
        const us = 1000 * (performance.now() - startedAtMs);
        this.#servingLatency.observe({ model_name: name, API: api, entrypoint }, us);
      },
    };
  }

  batched(model: string, threadPoolName: string, { rows, paddedRows, waitedMs }: BatchTold): void {
    this.#batchRows.observe({ model }, rows);
    this.#padding.inc({ model }, paddedRows - rows);
    for (const ms of waitedMs) this.#queuing.observe({ thread_pool_name: threadPoolName }, 1000 * ms);
  }

  predicted({ info: { model } }: MeshModel, { microbatches }: Prediction<TensorData>): void {
    for (const { totalMs, stages } of microbatches) {
      let onNodesMs = 0;
      for (const { stage, queueMs, computeMs, wrote } of stages) {
        onNodesMs += queueMs + computeMs;
        this.#stage.observe({ model, stage, part: 'queue' }, queueMs);
        this.#stage.observe({ model, stage, part: 'compute' }, computeMs);
        if (wrote === undefined) continue;
        this.#stageBytes.inc({ model, stage, codec: wrote.codec }, wrote.bytes);
        this.#stagePlainBytes.inc({ model, stage, codec: wrote.codec }, wrote.plainBytes);
      }
      // There, from stage to stage, and back.
      const hopMs = Math.max(0, totalMs - onNodesMs) / (stages.length + 1);
      for (let hop = 0; hop <= stages.length; hop++) this.#hop.observe({ model }, hopMs);
    }
  }

  /** The exposition format, version 0.0.4. TensorFlow Serving's figures come without help, as they do there. */
  async text(): Promise<string> {
    const text = await this.#registry.metrics();
    return text.replaceAll(/^# HELP :tensorflow.*\n/gm, '');
  }

  #counter<Label extends string>(name: string, help: string, labelNames: readonly Label[]): Counter<Label> {
    return new Counter({ name, help: help || name, labelNames: [...labelNames], registers: [this.#registry] });
  }

  #histogram<Label extends string>(
    name: string,
    help: string,
    labelNames: readonly Label[],
    buckets: number[],
  ): Histogram<Label> {
    return new Histogram({
      name,
      help: help || name,
      labelNames: [...labelNames],
      buckets,
      registers: [this.#registry],
    });
  }

  /** Counted elsewhere: read at each scrape. */
  #readCounter<Label extends string>(
    name: string,
    help: string,
    labelNames: readonly Label[],
    read: (counter: Counter<Label>) => void,
  ): void {
    const collect = function (this: Counter<Label>): void {
      this.reset();
      read(this);
    };
    const counter = new Counter({ name, help, labelNames: [...labelNames], registers: [this.#registry], collect });
    void counter;
  }

  #gauge<Label extends string>(
    name: string,
    help: string,
    labelNames: readonly Label[],
    read: (gauge: Gauge<Label>) => void,
  ): void {
    const collect = function (this: Gauge<Label>): void {
      this.reset();
      read(this);
    };
    const gauge = new Gauge({ name, help, labelNames: [...labelNames], registers: [this.#registry], collect });
    void gauge;
  }
}
