/** The join page's composition root: the browser's own ports, and the engine, which loads on the click alone. */
import { getJson } from '../shared/api.ts';
import { takeToken } from '../shared/token.ts';
import { JoinPage } from './join-page.ts';
import { choicesFromSearch } from './options.ts';
import { readDevice } from './read-device.ts';

const page = new JoinPage();
page.ports = {
  contribute: async (options, onNode) => (await import('@shoal/mesh/node')).contribute(options, onNode),
  getJson,
  readDevice,
};
page.invite = takeToken('invite');
page.choices = choicesFromSearch(location.search);
document.body.append(page);
