/** Entry of an embedded node: a process of its own, told what to do by its parent, gone when the parent is. */
import { contribute } from '@shoal/mesh/node';

export interface EmbeddedNodeOrder {
  readonly url: string;
  readonly invite: string;
  readonly name: string;
  readonly cacheFolder: string;
}

export type EmbeddedNodeReport =
  | { readonly type: 'log'; readonly code: string; readonly text: string }
  | { readonly type: 'failed'; readonly message: string };

const report = (message: EmbeddedNodeReport): void => {
  process.send?.(message);
};

process.once('message', (order: EmbeddedNodeOrder) => {
  contribute(order, (node) => {
    node.onLog(({ code, text }) => report({ type: 'log', code, text }));
    const stop = (): void => {
      void node.stop().finally(() => process.exit(0));
    };
    process.once('SIGTERM', stop);
    process.once('disconnect', stop);
    // A Ctrl-C reaches the whole process group: the parent decides when its nodes end.
    process.on('SIGINT', () => {});
  }).catch((error: unknown) => {
    report({ type: 'failed', message: error instanceof Error ? error.message : String(error) });
    process.exitCode = 1;
    process.disconnect();
  });
});
