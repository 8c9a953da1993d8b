/**
 * The one closed list of reasons. Every refusal, wait, retry, ban and failure carries one of these codes,
 * in errors, messages, logs, metrics and pages.
 */

interface ReasonFacts {
  /** Whether the same call may succeed later, unchanged. */
  readonly retryable: boolean;
  /** What it means, in one sentence for a person. */
  readonly meaning: string;
  /** What to do about it. */
  readonly hint: string;
}

const facts = (retryable: boolean, meaning: string, hint: string): ReasonFacts => ({ retryable, meaning, hint });

export const REASONS = {
  // Admission
  INVITE_INVALID: facts(
    false,
    'The invite is not one of this mesh, or was altered.',
    'Ask the operator for a new link.',
  ),
  INVITE_EXPIRED: facts(false, 'The invite has expired.', 'Ask the operator for a new link.'),
  ROLE_NOT_ALLOWED: facts(false, 'The invite does not allow this role.', 'Use an invite made for it.'),
  ORIGIN_NOT_ALLOWED: facts(false, 'Pages of this origin may not join.', 'Add the origin to the allowed ones.'),
  VERSION_SKEW: facts(false, 'This side speaks another version of the protocol.', 'Reload the page.'),
  RATE_LIMITED: facts(true, 'Too many attempts in a short time.', 'Wait a little, then try again.'),

  // The caller's input
  BAD_INPUT: facts(false, 'An input does not fit what the model expects.', 'See the field and the limit named.'),
  TOO_LARGE: facts(false, 'Something is larger than its limit.', 'Send less at once; the limit is named.'),
  MODEL_NOT_FOUND: facts(false, 'No model of this name is registered.', 'See the list of models.'),
  VERSION_NOT_FOUND: facts(false, 'The model has no such version.', 'See the versions of the model.'),
  VERSION_NOT_AVAILABLE: facts(true, 'The version is not served now.', 'Wait until it is ready, or name another.'),
  LABEL_NOT_FOUND: facts(false, 'The model has no such version label.', 'See the labels of the model.'),
  SIGNATURE_NOT_FOUND: facts(false, 'The model has no such signature.', 'See the signatures of the model.'),
  MODEL_INVALID: facts(false, 'The files of the model cannot be served.', 'Repair the model; the field is named.'),

  // Capacity and time
  NO_CAPACITY: facts(true, 'No node is ready to serve this model.', 'Open the join link in a tab.'),
  MEMORY_LIMIT: facts(true, 'The model needs more memory than the node offers.', 'Use a node with more memory.'),
  QUEUE_FULL: facts(true, 'A queue is at its limit.', 'Send more slowly, or add nodes.'),
  DEADLINE: facts(true, 'The deadline passed before there was a result.', 'Allow more time, or add nodes.'),
  CANCELLED: facts(false, 'The caller called it off.', 'Nothing to do.'),
  CLOSED: facts(false, 'This connection was closed by its owner.', 'Connect again.'),

  // Peers and links
  PEER_LEFT: facts(true, 'The peer has left.', 'Its work goes to another node.'),
  PEER_UNRESPONSIVE: facts(true, 'The peer has stopped answering.', 'Its work goes to another node.'),
  PEER_UNKNOWN: facts(true, 'No such peer is in this mesh.', 'Take a fresh placement.'),
  LINK_FAILED: facts(true, 'The connection between two peers failed.', 'It is dialled again, or relayed.'),
  DIRECT_LINK_FAILED: facts(true, 'No direct connection came about.', 'Packets go through the coordinator.'),
  COORDINATOR_LOST: facts(true, 'The coordinator cannot be reached.', 'It is tried again; running work goes on.'),
  NODE_LOST_RETRIES_EXHAUSTED: facts(true, 'Node after node failed on this piece of work.', 'Try again later.'),
  LEASE_EXPIRED: facts(true, 'A node made no progress in the time it had.', 'Its work goes to another node.'),
  BAD_FRAME: facts(false, 'A packet or message breaks the protocol.', 'The link is closed; report it.'),

  // Nodes
  PLANNING: facts(true, 'The coordinator works out which node holds what.', 'Wait.'),
  FETCHING: facts(true, 'The node is downloading the model.', 'Wait.'),
  SELF_TESTING: facts(true, 'The node is proving itself on stored inputs.', 'Wait.'),
  IDLE: facts(true, 'The node is ready and has nothing to do.', 'Nothing to do.'),
  DRAINING: facts(true, 'The node finishes what it has and takes nothing new.', 'Its work goes to another node.'),
  BACKEND_UNAVAILABLE: facts(false, 'No backend of this device gives right numbers.', 'Use another browser or device.'),
  SELF_TEST_FAILED: facts(
    false,
    'The device gives wrong numbers for this model.',
    'It is not used; try another backend.',
  ),
  SHARD_DIGEST: facts(true, 'A downloaded piece of the model is not what was promised.', 'It is fetched again.'),
  SHARD_UNAVAILABLE: facts(true, 'A piece of the model cannot be fetched.', 'It is tried again.'),
  NOT_ASSIGNED: facts(true, 'The node does not hold this stage.', 'Take a fresh placement.'),
  STALE_EPOCH: facts(true, 'The work belongs to an older placement.', 'Take a fresh placement.'),
  NOT_KEPT: facts(true, 'No node has what was handed on for this work any more.', 'It starts over.'),
  EXECUTION_FAILED: facts(true, 'The model failed while it ran.', 'It is tried on another node.'),
  INTERNAL: facts(true, 'Something broke that should not have.', 'Report it with the log.'),
} as const satisfies Readonly<Record<string, ReasonFacts>>;

export type ReasonCode = keyof typeof REASONS;

export const REASON_CODES: readonly ReasonCode[] = Object.keys(REASONS) as ReasonCode[];

/** The one error class of Shoal. The message reads `CODE: reason`. */
export class MeshError extends Error {
  override readonly name = 'MeshError';
  readonly code: ReasonCode;
  /** What happened here: names the field and the limit. */
  readonly reason: string;
  readonly retryable: boolean;
  readonly hint: string;

  constructor(
    code: ReasonCode,
    reason: string = REASONS[code].meaning,
    options: { cause?: unknown; hint?: string } = {},
  ) {
    super(`${code}: ${reason}`, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.reason = reason;
    this.retryable = REASONS[code].retryable;
    this.hint = options.hint ?? REASONS[code].hint;
  }

  /** Any thrown value as a `MeshError`, itself if it is one. */
  static from(error: unknown, code: ReasonCode = 'INTERNAL'): MeshError {
    if (error instanceof MeshError) return error;
    if (error instanceof Error) return new MeshError(code, error.message, { cause: error });
    // An object's own toString may throw: its cause is kept, its text is not asked for.
    const isObject = typeof error === 'object' || typeof error === 'function';
    return new MeshError(code, isObject ? REASONS[code].meaning : String(error), { cause: error });
  }
}
