/** Which peers have which shards of weights, as they say and as the coordinator answers. */
import * as z from 'zod/mini';
import { reasonCodeSchema } from './channel.ts';
import { digestSchema, peerIdSchema } from './ids.ts';
import { SHARD_SOURCES_MAX, SHARDS_PER_MESSAGE_MAX } from './limits.ts';

const digests = z.array(digestSchema).check(z.minLength(1), z.maxLength(SHARDS_PER_MESSAGE_MAX));

/**
 * A node asks who has these shards; `shard-sources` answers. From then on it counts as fetching what nobody has, and
 * others may be sent to it for that.
 */
export const shardsWantedSchema = z.strictObject({ type: z.literal('shards-wanted'), digests });
/** A node has these shards, checked, and gives them to others. Said again after every reconnect. */
export const shardsHeldSchema = z.strictObject({ type: z.literal('shards-held'), digests });
/** A source did not give a shard: `SHARD_DIGEST` for wrong bytes, else why there were none. */
export const shardFaultSchema = z.strictObject({
  type: z.literal('shard-fault'),
  source: peerIdSchema,
  digest: digestSchema,
  code: reasonCodeSchema,
});

/** Who has a shard, the likeliest first. Nobody: the asker fetches it from the coordinator. */
export const shardSourceSchema = z.strictObject({
  digest: digestSchema,
  peers: z.array(peerIdSchema).check(z.maxLength(SHARD_SOURCES_MAX)),
  /** The peers do not have it yet: they are fetching it from the coordinator, and give it when it has come. */
  isFetching: z.boolean(),
});
export type SourcesOfShard = z.infer<typeof shardSourceSchema>;
export const shardSourcesSchema = z.strictObject({
  type: z.literal('shard-sources'),
  sources: z.array(shardSourceSchema).check(z.maxLength(SHARDS_PER_MESSAGE_MAX)),
});
