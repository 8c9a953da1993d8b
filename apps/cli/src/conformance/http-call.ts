/** HTTP as a clause needs it: any method, path and header, and nothing done to them on the way. */
import { request, type OutgoingHttpHeaders } from 'node:http';

export interface HttpCall {
  readonly method?: string;
  readonly headers?: OutgoingHttpHeaders;
  readonly body?: string | Uint8Array;
}

export interface HttpReply {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly body: string;
}

/** @param path sent as it is */
export function httpCall(
  url: string,
  path: string,
  { method = 'GET', headers = {}, body }: HttpCall,
): Promise<HttpReply> {
  return new Promise((resolve, reject) => {
    const outgoing = request(url, { path, method, headers, agent: false }, (incoming) => {
      const chunks: Buffer[] = [];
      incoming.on('data', (chunk: Buffer) => chunks.push(chunk));
      incoming.on('error', reject);
      incoming.on('end', () => {
        const { statusCode = 0, headers: replyHeaders } = incoming;
        resolve({ status: statusCode, headers: replyHeaders, body: Buffer.concat(chunks).toString() });
      });
    });
    outgoing.on('error', reject);
    outgoing.end(body);
  });
}
