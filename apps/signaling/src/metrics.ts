/** The coordinator's figures for Prometheus. */
import { codecsOfModel, type ClusterState } from '@shoal/scheduling';
import { Counter, Gauge, Registry } from 'prom-client';

export interface Metrics {
  readonly registry: Registry;
  readonly joins: Counter<'role' | 'code'>;
  readonly relayedBytes: Counter;
  readonly modelBytes: Counter<'model'>;
  readonly linkBytes: Counter<'model' | 'cut' | 'codec'>;
  readonly linkPlainBytes: Counter<'model' | 'cut' | 'codec'>;
  readonly shardRequests: Counter<'model'>;
  readonly shardBytes: Counter<'from'>;
  readonly shardStrikes: Counter;
}

/** `state` and `copiesMax` are read at each scrape. */
export function createMetrics(
  state: () => ClusterState | undefined,
  copiesMax: () => ReadonlyMap<string, number>,
): Metrics {
  const registry = new Registry();
  const registers = [registry];
  new Gauge({
    name: 'shoal_peers',
    help: 'Peers that have joined, by role and activity.',
    labelNames: ['role', 'activity'],
    registers,
    collect() {
      this.reset();
      for (const peer of state()?.peers.values() ?? []) this.inc({ role: peer.role, activity: peer.activity });
    },
  });
  new Gauge({
    name: 'shoal_replicas',
    help: 'Assignments by model version and state.',
    labelNames: ['model', 'state'],
    registers,
    collect() {
      this.reset();
      for (const peer of state()?.peers.values() ?? []) {
        for (const record of peer.assignments.values()) this.inc({ model: record.modelKey, state: record.state });
      }
    },
  });
  new Gauge({
    name: 'shoal_shard_copies_max',
    help: 'How often the coordinator has sent the shard that it has sent most, by model version.',
    labelNames: ['model'],
    registers,
    collect() {
      this.reset();
      for (const [model, copies] of copiesMax()) this.set({ model }, copies);
    },
  });
  new Gauge({
    name: 'shoal_codec_error',
    help: 'What a codec in use between stages does to the answers, as calibrated: relative_l2 of the worst row, share of rows whose largest output changes.',
    labelNames: ['model', 'cut', 'codec', 'measure'],
    registers,
    collect() {
      this.reset();
      const cluster = state();
      for (const model of cluster?.models.keys() ?? []) {
        for (const { cut, codec, error } of cluster === undefined ? [] : codecsOfModel(cluster, model, Date.now())) {
          if (error === null) continue;
          this.set({ model, cut, codec, measure: 'relative_l2' }, error.relativeL2);
          this.set({ model, cut, codec, measure: 'disagreement' }, error.disagreement);
        }
      }
    },
  });
  return {
    registry,
    joins: new Counter({
      name: 'shoal_joins_total',
      help: 'Handshakes, by role and reason code.',
      labelNames: ['role', 'code'],
      registers,
    }),
    relayedBytes: new Counter({
      name: 'shoal_relayed_bytes_total',
      help: 'Bytes of packets that passed through the coordinator for want of a direct link.',
      registers,
    }),
    modelBytes: new Counter({
      name: 'shoal_model_bytes_total',
      help: 'Bytes of model files sent to nodes.',
      labelNames: ['model'],
      registers,
    }),
    linkBytes: new Counter({
      name: 'shoal_link_bytes_total',
      help: 'Bytes of activations that stages wrote to the next ones, by the layer that the cut lies before, and codec, as nodes report.',
      labelNames: ['model', 'cut', 'codec'],
      registers,
    }),
    linkPlainBytes: new Counter({
      name: 'shoal_link_plain_bytes_total',
      help: 'The same bytes before the codec wrote them.',
      labelNames: ['model', 'cut', 'codec'],
      registers,
    }),
    shardRequests: new Counter({
      name: 'shoal_shard_requests_total',
      help: 'Shards that the coordinator has sent, whole or in part.',
      labelNames: ['model'],
      registers,
    }),
    shardBytes: new Counter({
      name: 'shoal_shard_bytes_total',
      help: 'Bytes of shards that nodes took, by where from, as they report.',
      labelNames: ['from'],
      registers,
    }),
    shardStrikes: new Counter({
      name: 'shoal_shard_strikes_total',
      help: 'Nodes that reported another for wrong bytes of a shard.',
      registers,
    }),
  };
}
