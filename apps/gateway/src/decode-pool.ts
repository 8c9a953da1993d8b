/** Decodes small requests at once, and large ones in threads, so that no picture holds up everybody else. */
import { Worker } from 'node:worker_threads';
import { MeshError } from '@shoal/protocol';
import type { DecodeReply } from './decode-thread.ts';
import { readInferRequest, type InferRequest } from './json/infer-request.ts';
import type { DecodeTask, RequestDecoder } from './request-decoder.ts';

/** Below this, decoding takes at most a few milliseconds, and handing over costs more than it saves. */
const LARGE_BODY_BYTES = 256 * 1024;

interface Job {
  readonly task: DecodeTask;
  readonly resolve: (request: InferRequest) => void;
  readonly reject: (error: MeshError) => void;
}

interface Thread {
  readonly worker: Worker;
  job: Job | null;
}

export class DecodePool implements RequestDecoder {
  readonly #threadsMax: number;
  readonly #threads = new Set<Thread>();
  readonly #waiting = new Set<Job>();
  #isClosed = false;

  /** Threads start when they are first needed. */
  constructor(threadsMax: number) {
    this.#threadsMax = threadsMax;
  }

  async decode(task: DecodeTask, signal: AbortSignal): Promise<InferRequest> {
    const { verb, body, signatures } = task;
    if (body.length < LARGE_BODY_BYTES) return readInferRequest(verb, body, signatures);
    return new Promise((resolve, reject) => {
      if (this.#isClosed) return reject(new MeshError('CLOSED', 'the gateway is closed'));
      const job: Job = { task, resolve, reject };
      this.#waiting.add(job);
      // What a thread has begun is soon done; what nobody began is taken back.
      signal.addEventListener('abort', () => this.#waiting.delete(job), { once: true });
      this.#handOut();
    });
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    const threads = [...this.#threads];
    const jobs = [...this.#waiting, ...threads.map(({ job }) => job)];
    this.#threads.clear();
    this.#waiting.clear();
    for (const job of jobs) job?.reject(new MeshError('CLOSED', 'the gateway is closed'));
    await Promise.all(threads.map(({ worker }) => worker.terminate()));
  }

  #handOut(): void {
    for (const job of this.#waiting) {
      const thread = this.#freeThread();
      if (thread === undefined) return;
      this.#waiting.delete(job);
      thread.job = job;
      thread.worker.postMessage(job.task, [job.task.body.buffer as ArrayBuffer]);
    }
  }

  #freeThread(): Thread | undefined {
    for (const thread of this.#threads) if (thread.job === null) return thread;
    return this.#threads.size < this.#threadsMax ? this.#start() : undefined;
  }

  #start(): Thread {
    const worker = new Worker(new URL('./decode-thread-entry.mjs', import.meta.url));
    // The server keeps the process alive, not its helpers.
    worker.unref();
    const thread: Thread = { worker, job: null };
    this.#threads.add(thread);
    worker.on('message', (reply: DecodeReply) => {
      const job = thread.job;
      thread.job = null;
      if (reply.ok) {
        job?.resolve(reply.request);
      } else {
        job?.reject(new MeshError(reply.code, reply.reason));
      }
      this.#handOut();
    });
    const end = (text: string): void => {
      if (!this.#threads.delete(thread)) return;
      thread.job?.reject(new MeshError('INTERNAL', `the thread that decodes requests ended: ${text}`));
      this.#handOut();
    };
    worker.on('error', (error) => end(error instanceof Error ? error.message : String(error)));
    worker.on('exit', (code) => end(`code ${code}`));
    return thread;
  }
}
