/** The whole table of codecs, models and cuts as a page. */
import type { CutCases } from './codec-measure.ts';

export function codecTables(all: readonly CutCases[]): string {
  const models = [...new Set(all.map(({ model }) => model))];
  const sections = models.map((model) => {
    const cuts = all.filter((cut) => cut.model === model);
    const rows = cuts.flatMap(({ position, crossing, cases }) =>
      cases.map(({ codec, bytesRatio, relativeL2, top1, f32Bytes, encodeMs, decodeMs }, i) =>
        [
          i === 0 ? `${position}: ${crossing}` : '',
          codec,
          bytesRatio.toFixed(3),
          relativeL2.toExponential(1),
          `${(100 * top1).toFixed(1)} %`,
          (f32Bytes / 1000 / (encodeMs + decodeMs)).toFixed(0),
        ].join(' | '),
      ),
    );
    return [
      `## ${model}`,
      '',
      '| cut before layer: what crosses | codec | bytes / f32 | relative L2 | top-1 agreement | MB/s |',
      '|---|---|---:|---:|---:|---:|',
      ...rows.map((row) => `| ${row} |`),
    ].join('\n');
  });
  const head =
    '# Codecs, cut by cut\n\nWritten by `npm run bench -- codec --full`. Relative L2 and top-1 agreement are at the output, against f32; MB/s of' +
    ' f32 encoded and decoded by one thread, WebAssembly.';
  return `${[head, ...sections].join('\n\n')}\n`;
}
