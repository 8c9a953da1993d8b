/**
 * Runs a model's golden vectors over a whole route, of which this node holds stage 0, as ordinary work that it waits for
 * itself: so the stages of a model that no node holds whole are proven. Which routes, and what follows, the coordinator decides.
 */
import { deferred, withDeadline, type Clock, type Deferred } from '@shoal/base';
import { joinOutputs, readOutputs, type OutputPart } from '@shoal/mesh/link';
import {
  MeshError,
  type ChannelMessage,
  type FailureMessage,
  type PeerId,
  type ProvedMessage,
  type ProveMessage,
  type ReleaseMessage,
  type RequestId,
  type ResultMessage,
  type WorkMessage,
} from '@shoal/protocol';
import { encodeTensor, goldenTensors, rowsOf, signatureOf, type GoldenVector, type Manifest } from '@shoal/sharding';
import { rowsOf as rowCount } from './made-up.ts';
import { wrongOutput } from './self-test.ts';
import type { StageHolder } from './stage-holder.ts';

/** Pieces on the route at once: its stages work side by side, and callers' work beside them. */
const IN_FLIGHT = 4;

export interface ProverParts {
  readonly self: PeerId;
  readonly clock: Clock;
  readonly holder: Pick<StageHolder, 'forWork'>;
  /** This node's own stage. */
  readonly runner: {
    take(message: WorkMessage, bodies: readonly Uint8Array[]): Promise<void>;
    release(from: PeerId, message: ReleaseMessage): void;
  };
  /** Dials a peer, if there is no link to it. */
  readonly reach: (peer: PeerId) => Promise<unknown>;
  readonly send: (message: ProvedMessage) => void;
  readonly log: (text: string) => void;
}

type Outcome = { readonly message: ResultMessage; readonly bodies: readonly Uint8Array[] };

/** Rows `[start, end)` of a golden vector. */
interface Piece {
  readonly microbatch: number;
  readonly vector: number;
  readonly start: number;
  readonly end: number;
}

interface Proof {
  readonly order: ProveMessage;
  readonly manifest: Manifest;
  readonly expiresAtMs: number;
  /** By microbatch. */
  readonly waiting: Map<number, Deferred<Outcome>>;
}

export class Prover {
  readonly #parts: ProverParts;
  readonly #proofs = new Map<RequestId, Proof>();

  constructor(parts: ProverParts) {
    this.#parts = parts;
  }

  /** Runs a proof and tells what became of it, by its deadline. */
  async take(order: ProveMessage): Promise<void> {
    const { requestId, model, version, route } = order;
    const about = { type: 'proved', requestId } as const;
    const what = `golden vectors of ${model} version ${version} over ${route.join(', ')}`;
    let passed = 0;
    try {
      const manifest = this.#manifestFor(order);
      await this.#run(order, manifest, () => (passed += 1));
      this.#parts.send({ ...about, passed });
      this.#parts.log(`${what}: all ${passed} came out right`);
    } catch (error) {
      const { code, reason } = MeshError.from(error);
      this.#parts.send({ ...about, passed, code, reason: reason.slice(0, 2000) });
      this.#parts.log(`${what}: ${code}: ${reason}`);
    } finally {
      this.#proofs.delete(requestId);
    }
  }

  /** An outcome that came to this node; only nodes of the route are heard. */
  hear(from: PeerId, message: ResultMessage | FailureMessage, bodies: readonly Uint8Array[] = []): void {
    const proof = this.#proofs.get(message.requestId);
    const waiting = proof?.waiting.get(message.microbatch);
    if (waiting === undefined || proof?.order.route.includes(from) !== true) return;
    if (message.type === 'result') return waiting.resolve({ message, bodies });
    const { code, stage, reason } = message;
    // What a stage says is no verdict on numbers.
    waiting.reject(
      new MeshError(code === 'SELF_TEST_FAILED' ? 'EXECUTION_FAILED' : code, `stage ${stage + 1}: ${reason}`),
    );
  }

  /** What this node's own stages have to say to this node: to whoever waits, and to the next stage where it holds that too. */
  readonly line = {
    send: async (message: ChannelMessage, bodies: readonly Uint8Array[] = []): Promise<void> => {
      const { self, runner } = this.#parts;
      if (message.type === 'result' || message.type === 'failure') this.hear(self, message, bodies);
      if (message.type === 'work') await runner.take(message, bodies);
    },
  };

  #manifestFor({ model, version, epoch, route }: ProveMessage): Manifest {
    const held = this.#parts.holder.forWork({ model, version, epoch, route, stage: 0 });
    if (typeof held === 'string') throw new MeshError(held, `stage 1 of ${model}, epoch ${epoch}: ${held}`);
    if (held.manifest === null || route[0] !== this.#parts.self) throw new MeshError('NOT_ASSIGNED');
    return held.manifest;
  }

  async #run(order: ProveMessage, manifest: Manifest, onPassed: () => void): Promise<void> {
    const { clock, reach, runner, self } = this.#parts;
    const { requestId, route, deadlineMs } = order;
    const proof: Proof = { order, manifest, expiresAtMs: clock.nowMs() + deadlineMs, waiting: new Map() };
    this.#proofs.set(requestId, proof);
    // Dialled while the stages compute: the last one answers over it.
    reach(route.at(-1) as PeerId).catch(() => {});
    const golden = manifest.golden.slice(0, order.vectors);
    const pieces = piecesOf(golden, manifest, order.rowsMax);
    const parts = await withDeadline(this.#outcomes(proof, pieces), {
      clock,
      deadlineMs,
      onDeadline: () => new MeshError('DEADLINE', `no result over the route in ${deadlineMs} ms`),
      onAbort: () => new MeshError('CANCELLED'),
    });
    const done = pieces.map(({ microbatch }) => ({ requestId, microbatch }));
    runner.release(self, { type: 'release', replyTo: self, stage: 0, route: [...route], pieces: done });
    for (const [index, vector] of golden.entries()) {
      const signature = signatureOf(manifest, vector.signature);
      const outputs = joinOutputs(signature, parts[index] ?? []);
      const wrong = wrongOutput(vector, index, manifest.golden.length, outputs);
      if (wrong !== undefined) throw new MeshError('SELF_TEST_FAILED', wrong);
      onPassed();
    }
  }

  /** By vector: its parts. */
  async #outcomes(proof: Proof, pieces: readonly Piece[]): Promise<OutputPart[][]> {
    const parts: OutputPart[][] = proof.manifest.golden.map(() => []);
    const queue = pieces.values();
    const work = async (): Promise<void> => {
      for (const piece of queue) parts[piece.vector]?.push(await this.#outcome(proof, piece));
    };
    await Promise.all(Array.from({ length: IN_FLIGHT }, work));
    return parts;
  }

  async #outcome({ order, manifest, expiresAtMs, waiting }: Proof, piece: Piece): Promise<OutputPart> {
    const { clock, runner, self } = this.#parts;
    const { requestId, model, version, epoch, route } = order;
    const { microbatch, start, end } = piece;
    const vector = manifest.golden[piece.vector] as GoldenVector;
    const isCut = manifest.rowsIndependent;
    const encoded = Object.entries(goldenTensors(vector.inputs)).map(([name, tensor]) =>
      encodeTensor(name, isCut ? rowsOf(tensor, start, end) : tensor),
    );
    const outcome = deferred<Outcome>();
    waiting.set(microbatch, outcome);
    const message: WorkMessage = {
      type: 'work',
      requestId,
      microbatch,
      attempt: 1,
      epoch,
      model,
      version,
      signature: vector.signature,
      stage: 0,
      route: [...route],
      replyTo: self,
      rows: end - start,
      deadlineMs: Math.max(0, expiresAtMs - clock.nowMs()),
      timings: [],
      tensors: encoded.map(({ header }) => header),
    };
    void runner.take(
      message,
      encoded.map(({ data }) => data),
    );
    const { message: result, bodies } = await outcome.promise;
    try {
      return readOutputs(signatureOf(manifest, vector.signature), [piece], isCut, result, bodies)[0] as OutputPart;
    } catch (error) {
      // Not even of the right kind.
      throw new MeshError('SELF_TEST_FAILED', `golden vector ${piece.vector + 1}: ${MeshError.from(error).reason}`);
    }
  }
}

/** Vectors by rows that may travel together; where rows depend on each other they all must. */
function piecesOf(
  golden: readonly GoldenVector[],
  { rowsIndependent }: Manifest,
  rowsMax = Number.POSITIVE_INFINITY,
): Piece[] {
  const pieces: Piece[] = [];
  for (const [vector, { inputs }] of golden.entries()) {
    const rows = rowCount({ rowsIndependent }, inputs);
    const step = rowsIndependent ? Math.min(rows, rowsMax) : rows;
    for (let start = 0; start < rows; start += step) {
      pieces.push({ microbatch: pieces.length, vector, start, end: Math.min(rows, start + step) });
    }
  }
  return pieces;
}
