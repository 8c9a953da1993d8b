/** As much of autocannon as is used here. */
declare module 'autocannon' {
  interface Options {
    readonly url: string;
    readonly method: 'POST';
    readonly body: string;
    readonly connections: number;
    /** Seconds. */
    readonly duration: number;
    /** Requests per second of all connections together: each sends its share at the start of every second. */
    readonly overallRate?: number;
  }
  interface Result {
    readonly errors: number;
    readonly timeouts: number;
    readonly non2xx: number;
    readonly duration: number;
  }
  interface Tracker extends Promise<Result> {
    on(event: 'response', listener: (client: unknown, status: number, bytes: number, ms: number) => void): void;
  }
  export default function autocannon(options: Options): Tracker;
}
