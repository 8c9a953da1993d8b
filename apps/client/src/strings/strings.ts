/** The one place that chooses the language of the pages. Another locale is another file like `en.ts`. */
export { admin, common, join, placement, playground, versions } from './en.ts';
