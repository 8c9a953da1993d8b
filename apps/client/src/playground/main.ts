/** The playground's composition root. */
import { getJson } from '../shared/api.ts';
import { takeToken } from '../shared/token.ts';
import { PlaygroundPage } from './playground-page.ts';

const page = new PlaygroundPage();
page.ports = { connect: async (options) => (await import('@shoal/mesh/client')).connect(options), getJson };
page.token = takeToken('client');
document.body.append(page);
