/** The admin page's composition root. */
import { getJson } from '../shared/api.ts';
import { takeToken } from '../shared/token.ts';
import { AdminPage } from './admin-page.ts';

const page = new AdminPage();
page.getJson = getJson;
page.token = takeToken('admin');
document.body.append(page);
