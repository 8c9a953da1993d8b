/** Has plans made in a thread of their own: one for hundreds of nodes takes a second, in which nobody should wait for a word. */
import { Worker } from 'node:worker_threads';
import type { PlanAnswer, PlanAsk } from '@shoal/scheduling';

/** A plan that takes longer is given up: the worst of 256 nodes takes some seconds on a slow machine. */
const PLAN_DEADLINE_MS = 60_000;

interface Question {
  readonly ask: PlanAsk;
  readonly onAnswer: (answer: PlanAnswer) => void;
}

export class Planner {
  readonly #waiting: Question[] = [];
  #worker: Worker | undefined;
  #current: Question | undefined;
  #deadline: NodeJS.Timeout | undefined;
  #isClosed = false;

  /** Questions are answered one after another, each once. */
  ask(ask: PlanAsk, onAnswer: (answer: PlanAnswer) => void): void {
    this.#waiting.push({ ask, onAnswer });
    this.#next();
  }

  /** Nobody waits for a thread that thinks: it holds nothing that must be put down. */
  close(): void {
    this.#isClosed = true;
    this.#waiting.length = 0;
    clearTimeout(this.#deadline);
    void this.#worker?.terminate();
  }

  #next(): void {
    if (this.#current !== undefined || this.#isClosed) return;
    const question = this.#waiting.shift();
    if (question === undefined) return;
    this.#current = question;
    this.#worker ??= this.#start();
    this.#worker.postMessage(question.ask, []);
    this.#deadline = setTimeout(() => this.#fail(`no plan in ${PLAN_DEADLINE_MS} ms`), PLAN_DEADLINE_MS);
    this.#deadline.unref();
  }

  #start(): Worker {
    const worker = new Worker(new URL('./planner-thread-entry.mjs', import.meta.url));
    // The server keeps the process alive, not its helpers.
    worker.unref();
    worker.on('message', (answer: PlanAnswer) => this.#settle(answer));
    worker.on('error', (error) => {
      if (worker === this.#worker) this.#fail(error instanceof Error ? error.message : String(error));
    });
    worker.on('exit', (code) => {
      if (worker === this.#worker) this.#fail(`it ended with code ${code}`);
    });
    return worker;
  }

  /** The thread is dead or stuck: the next question gets a fresh one. */
  #fail(text: string): void {
    const worker = this.#worker;
    this.#worker = undefined;
    void worker?.terminate();
    this.#settle({ type: 'refused', code: 'INTERNAL', reason: `the planner failed: ${text}` });
  }

  #settle(answer: PlanAnswer): void {
    const question = this.#current;
    this.#current = undefined;
    clearTimeout(this.#deadline);
    if (this.#isClosed) return;
    question?.onAnswer(answer);
    this.#next();
  }
}
