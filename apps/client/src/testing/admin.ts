/** The admin page with made-up answers: `src/testing/admin.html?nodes=7`. Not shipped. */
import { AdminPage } from '../admin/admin-page.ts';
import { fakeGetJson, fakeSendJson } from './fake-api.ts';

const params = new URLSearchParams(location.search);
const page = new AdminPage();
page.getJson = fakeGetJson(Number(params.get('nodes') ?? 7));
page.sendJson = fakeSendJson;
page.token = params.has('no-token') ? null : 'fake';
document.body.append(page);
