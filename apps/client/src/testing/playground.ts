/** The playground with a fake mesh: `src/testing/playground.html?nodes=0` for one that nobody serves. Not shipped. */
import { MeshError } from '@shoal/protocol';
import { PlaygroundPage } from '../playground/playground-page.ts';
import { fakeGetJson } from './fake-api.ts';
import { fakeConnect } from './fake-mesh.ts';

const params = new URLSearchParams(location.search);
const nodes = Number(params.get('nodes') ?? 3);
const page = new PlaygroundPage();
page.ports = {
  connect: nodes < 0 ? () => Promise.reject(new MeshError('INVITE_EXPIRED')) : fakeConnect(nodes > 0),
  getJson: fakeGetJson(nodes),
};
page.token = params.has('no-token') ? null : 'fake';
document.body.append(page);
