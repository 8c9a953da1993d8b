/** The admin page's composition root. */
import { getJson, sendJsonAs } from '../shared/api.ts';
import { takeToken } from '../shared/token.ts';
import { AdminPage } from './admin-page.ts';

const page = new AdminPage();
page.getJson = getJson;
page.token = takeToken('admin');
page.sendJson = sendJsonAs(page.token ?? '');
document.body.append(page);
