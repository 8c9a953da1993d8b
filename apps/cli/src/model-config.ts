/** TensorFlow Serving's model configuration, as the gateway reads it, in the coordinator's words. */
import type { ModelConfig as GatewayConfig } from '@shoal/gateway';
import type { ModelConfig } from '@shoal/signaling';

/** Where a model lies is the coordinator's to know: `base_path` and `model_platform` are not followed. */
export function modelConfig({ name, versionPolicy, labels }: GatewayConfig): ModelConfig {
  switch (versionPolicy?.type) {
    case undefined:
      return { name, labels };
    case 'all':
      return { name, labels, policy: 'all' };
    case 'latest':
      return { name, labels, policy: { latest: versionPolicy.versions } };
    case 'specific':
      return { name, labels, policy: { specific: versionPolicy.versions } };
  }
}
