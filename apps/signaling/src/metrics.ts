/** The coordinator's figures for Prometheus. */
import type { ClusterState } from '@shoal/scheduling';
import { Counter, Gauge, Registry } from 'prom-client';

export interface Metrics {
  readonly registry: Registry;
  readonly joins: Counter<'role' | 'code'>;
  readonly relayedBytes: Counter;
  readonly modelBytes: Counter<'model'>;
}

/** `state` is read at each scrape. */
export function createMetrics(state: () => ClusterState | undefined): Metrics {
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
  };
}
