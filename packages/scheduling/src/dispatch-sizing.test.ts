import { peerId } from '@shoal/protocol';
import { describe, expect, test } from 'vitest';
import { DispatchScene } from './testing/dispatch-scene.ts';

describe('sizing', () => {
  const rowsOf = (line: string): number => {
    const [, start, end] = /\[(\d+),(\d+)\)/.exec(line)!;
    return Number(end) - Number(start);
  };

  test('before a node was measured its microbatches are small; then they take some 200 ms of its measured speed', () => {
    const scene = new DispatchScene();
    scene.placed({ tab: 1 });
    // A quarter of all.
    const [first] = scene.submit('a', 400);
    expect(rowsOf(first!)).toBe(64);
    // It is eight times slower than it said: 200 ms are 25 rows.
    const [, next] = scene.result('a[0,64)', { msPerRow: 8 });
    expect(rowsOf(next!)).toBe(32);
  });

  test('sizes are powers of two, the nearest to 200 ms, while there is enough left', () => {
    const sizes = new Map<number, number>();
    for (let msPerRow = 1; msPerRow <= 400; msPerRow++) {
      const scene = new DispatchScene();
      scene.placed({ tab: msPerRow });
      sizes.set(msPerRow, rowsOf(scene.submit('a', 10_000)[0]!));
    }
    expect(new Set(sizes.values())).toEqual(new Set([256, 128, 64, 32, 16, 8, 4, 2, 1]));
    for (const [msPerRow, rows] of sizes) {
      if (rows === 1) expect(msPerRow).toBeGreaterThan(141);
      else expect([rows * msPerRow > 141, rows * msPerRow < 284]).toEqual([true, true]);
    }
  });

  test('a node of a quarter of the speed gets a quarter of the rows', () => {
    const scene = new DispatchScene();
    scene.placed({ fast: 10, slow: 40 });
    const [first, second] = scene.submit('a', 10_000);
    expect(first).toBe('a[0,16) to fast');
    expect(second).toBe('a[16,20) to slow');
  });

  test('microbatches shrink towards the end, so that all nodes end together', () => {
    const scene = new DispatchScene();
    scene.placed({ a: 5, b: 5 });
    const sizes = scene.submit('r', 200).map(rowsOf);
    for (const flight of scene.state.flights.values()) {
      scene.passTo(scene.nowMs + 100);
      const { start, end } = flight.parts[0]!;
      const sent = scene.result(`r[${start},${end})`).filter((line) => line.includes(' to '));
      sizes.push(...sent.map(rowsOf));
    }
    expect(sizes.reduce((sum, size) => sum + size)).toBe(200);
    expect(Math.max(...sizes)).toBeGreaterThanOrEqual(25);
    expect(Math.max(...sizes.slice(-3))).toBeLessThanOrEqual(5);
  });

  test('what is too little to spread goes to one node', () => {
    const scene = new DispatchScene();
    scene.placed({ a: 1, b: 1, c: 1 });
    expect(scene.submit('r', 15)).toEqual(['r[0,15) to a']);
  });

  test('a message carries no more rows than it can', () => {
    const scene = new DispatchScene();
    scene.placed({ a: 1 });
    expect(scene.submit('r', 5, { rowsMax: 2 })).toEqual(['r[0,2) to a', 'r[2,4) to a', 'r[4,5) to a']);
  });

  test('rows that may not travel apart stay whole', () => {
    const scene = new DispatchScene();
    scene.placed({ a: 10, b: 10 });
    expect(scene.submit('r', 1000, { splittable: false })).toEqual(['r[0,1000) to a']);
    expect(scene.lost('a')).toEqual(['revoke r[0,1000) from a', 'r[0,1000) to b']);
    expect(scene.result('r[0,1000)')).toEqual(['accept r[0,1000)', 'r is done']);
  });

  test('a node cannot speak for the speed of another', () => {
    const scene = new DispatchScene();
    scene.placed({ honest: 100, liar: 100 });
    scene.submit('a', 1);
    scene.submit('b', 1);
    const { route } = scene.flight('b[0,1)');
    expect(route).toEqual(['liar']);
    const timing = { stage: 0, node: peerId('honest'), rows: 1, queueMs: 0, computeMs: 1e6 };
    scene.resultOf(scene.flight('b[0,1)'), [timing]);
    expect(scene.state.stages[0]?.get(peerId('honest'))?.msPerRow).toBe(100);
  });
});
