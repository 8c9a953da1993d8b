/** The join page with a fake node: `src/testing/join.html?until=working` (or any phase). Not shipped. */
import type { NodePhase } from '../shared/sdk.ts';
import { JoinPage } from '../join/join-page.ts';
import { choicesFromSearch } from '../join/options.ts';
import { readDevice } from '../join/read-device.ts';
import { fakeGetJson } from './fake-api.ts';
import { fakeContribute } from './fake-node.ts';

const params = new URLSearchParams(location.search);
const page = new JoinPage();
page.ports = {
  contribute: fakeContribute((params.get('until') ?? 'working') as NodePhase),
  getJson: fakeGetJson(Number(params.get('nodes') ?? 7)),
  readDevice,
};
page.invite = params.has('no-invite') ? null : `eyJhbGciOiJFUzI1NiJ9.${'x'.repeat(160)}.${'y'.repeat(86)}`;
page.choices = choicesFromSearch(location.search);
document.body.append(page);
