import { readFile } from 'node:fs/promises';
import { inflateSync } from 'node:zlib';
import { expect, test } from 'vitest';
import { samplePictures } from './pictures.ts';
import { encodeGreyPng } from './png.ts';

test('every picture is a JPEG or PNG of at most 60 KB with a licence, named in the README', async () => {
  const readme = await readFile(new URL('../pictures/README.md', import.meta.url), 'utf8');
  const pictures = samplePictures();
  expect(new Set(pictures.map((picture) => picture.name)).size).toBe(pictures.length);
  for (const { path, licence, alt } of pictures) {
    const contents = await readFile(path);
    expect(['ffd8ff', '89504e']).toContain(contents.toString('hex', 0, 3));
    expect(contents.length).toBeLessThanOrEqual(60_000);
    expect(readme).toContain(`\`${path.split('/').at(-1)}\``);
    expect(licence).not.toBe('');
    expect(alt).not.toBe('');
  }
});

test('a PNG holds its size, its pixels and right checksums', () => {
  const pixels = Uint8Array.of(0, 50, 100, 150, 200, 250);
  const png = encodeGreyPng(pixels, 3);
  expect(png.readUInt32BE(16)).toBe(3);
  expect(png.readUInt32BE(20)).toBe(2);
  // The checksum of an empty IEND chunk is a constant of the specification's examples.
  expect(png.subarray(-12).toString('hex')).toBe('0000000049454e44ae426082');
  const data = png.subarray(41, 41 + png.readUInt32BE(33));
  expect([...inflateSync(data)]).toEqual([0, 0, 50, 100, 0, 150, 200, 250]);
});
