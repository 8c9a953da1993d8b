/** HTTP as a test needs it: any method, path, header and body, and nothing done to them on the way. */
import { Agent, request, type OutgoingHttpHeaders } from 'node:http';

export interface HttpCall {
  readonly method?: string;
  readonly headers?: OutgoingHttpHeaders;
  readonly body?: string | Uint8Array;
  readonly signal?: AbortSignal;
}

export interface HttpReply {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly body: string;
}

export class HttpClient {
  readonly #url: string;
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 64 });

  constructor(url: string) {
    this.#url = url;
  }

  /** @param path sent as it is */
  call(path: string, { method = 'GET', headers = {}, body, signal }: HttpCall = {}): Promise<HttpReply> {
    return new Promise((resolve, reject) => {
      const outgoing = request(
        this.#url,
        { path, method, headers, agent: this.#agent, ...(signal === undefined ? {} : { signal }) },
        (incoming) => {
          const chunks: Buffer[] = [];
          incoming.on('data', (chunk: Buffer) => chunks.push(chunk));
          incoming.on('error', reject);
          incoming.on('end', () => {
            const { statusCode = 0, headers: replyHeaders } = incoming;
            resolve({ status: statusCode, headers: replyHeaders, body: Buffer.concat(chunks).toString() });
          });
        },
      );
      outgoing.on('error', reject);
      outgoing.end(body);
    });
  }

  post(path: string, body: string | Uint8Array, headers: OutgoingHttpHeaders = {}): Promise<HttpReply> {
    return this.call(path, { method: 'POST', body, headers });
  }

  close(): void {
    this.#agent.destroy();
  }
}
