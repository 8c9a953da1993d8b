/**
 * Real tabs on the join page, joined by the button that users press, each in a browser context of its own and with nobody
 * watching: a debugger such as Playwright's is sent every byte that a page gets over a WebSocket, base64 in JSON, which costs
 * the tab more than the WebSocket does.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { WebSocket, type RawData } from 'ws';
import { CHROMIUM_ARGS, findChromium, MEASUREMENT_ARGS } from '../../scripts/chromium.ts';
import type { BenchMesh } from './bench-mesh.ts';

const DEADLINE_MS = 30_000;
const POLL_MS = 100;
/** Presses the button of the join page; false while it is not there. */
const PRESS = `(() => {
  const find = (root) => {
    const found = root.querySelector('[data-testid="start-button"]');
    if (found) return found;
    for (const { shadowRoot } of root.querySelectorAll('*')) {
      const inside = shadowRoot && find(shadowRoot);
      if (inside) return inside;
    }
  };
  const button = find(document);
  if (!button || button.disabled) return false;
  button.click();
  return true;
})()`;

export interface BenchTab {
  readonly name: string;
  /** Joins anew, with what its browser has cached. */
  open(): Promise<void>;
  /** Leaves as a tab does that its user closes. */
  close(): Promise<void>;
}

export interface TabsBrowser {
  /** A tab that may come and go. */
  makeTab(mesh: BenchMesh, name: string, backend: string): Promise<BenchTab>;
  close(): Promise<void>;
}

/** @throws Error when neither the system nor Playwright has a Chromium */
export async function openTabsBrowser(): Promise<TabsBrowser> {
  const profile = await mkdtemp(join(tmpdir(), 'shoal-bench-tabs-'));
  const own = ['--headless=new', '--remote-debugging-port=0', `--user-data-dir=${profile}`];
  const child = spawn(await findChromium(), [...own, ...CHROMIUM_ARGS, ...MEASUREMENT_ARGS, 'about:blank'], {
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  const protocol = await DevTools.connect(await debuggingUrl(child.stderr));
  return {
    makeTab: async (mesh, name, backend) => {
      const { browserContextId } = await protocol.call('Target.createBrowserContext');
      let targetId: unknown;
      return {
        name,
        open: async () => {
          const url = `${mesh.url}/?backend=${backend}&name=${name}#invite=${mesh.invite}`;
          ({ targetId } = await protocol.call('Target.createTarget', { url, browserContextId }));
          const { sessionId } = await protocol.call('Target.attachToTarget', { targetId, flatten: true });
          await protocol.press(sessionId);
          await protocol.call('Target.detachFromTarget', { sessionId });
        },
        close: async () => {
          await protocol.call('Target.closeTarget', { targetId });
        },
      };
    },
    close: async () => {
      const ended = once(child, 'exit');
      child.kill();
      await ended;
      await rm(profile, { recursive: true, force: true });
    },
  };
}

async function debuggingUrl(output: NodeJS.ReadableStream): Promise<string> {
  for await (const line of createInterface({ input: output, signal: AbortSignal.timeout(DEADLINE_MS) })) {
    const url = /DevTools listening on (\S+)/.exec(line)?.[1];
    if (url !== undefined) {
      // What else it has to say is not kept.
      output.resume();
      return url;
    }
  }
  throw new Error('Chromium ended before it listened');
}

type Answer = Readonly<Record<string, unknown>>;

/** As much of the Chrome DevTools Protocol as it takes. */
class DevTools {
  readonly #socket: WebSocket;
  readonly #waiting = new Map<number, (answer: { readonly result?: Answer; readonly error?: Answer }) => void>();
  #sent = 0;

  private constructor(socket: WebSocket) {
    this.#socket = socket;
    socket.on('message', (data: RawData) => {
      const answer = JSON.parse(String(data)) as { id?: number; result?: Answer; error?: Answer };
      this.#waiting.get(answer.id ?? 0)?.(answer);
      this.#waiting.delete(answer.id ?? 0);
    });
  }

  static async connect(url: string): Promise<DevTools> {
    const socket = new WebSocket(url);
    await once(socket, 'open', { signal: AbortSignal.timeout(DEADLINE_MS) });
    return new DevTools(socket);
  }

  call(method: string, params: object = {}, sessionId?: unknown): Promise<Answer> {
    return new Promise((resolve, reject) => {
      const id = (this.#sent += 1);
      const timer = setTimeout(() => reject(new Error(`${method}: no answer in ${DEADLINE_MS} ms`)), DEADLINE_MS);
      this.#waiting.set(id, ({ result, error }) => {
        clearTimeout(timer);
        if (result === undefined) reject(new Error(`${method}: ${JSON.stringify(error)}`));
        else resolve(result);
      });
      this.#socket.send(JSON.stringify({ id, method, params, ...(sessionId === undefined ? {} : { sessionId }) }));
    });
  }

  /** Presses the join page's button once it is there, as a user's gesture. */
  async press(sessionId: unknown): Promise<void> {
    for (let waitedMs = 0; waitedMs < DEADLINE_MS; waitedMs += POLL_MS) {
      const { result } = await this.call('Runtime.evaluate', { expression: PRESS, userGesture: true }, sessionId);
      if ((result as Answer)['value'] === true) return;
      await new Promise((resolve) => setTimeout(resolve, POLL_MS));
    }
    throw new Error('the join page showed no button to press');
  }
}
