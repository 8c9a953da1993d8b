/** Reads data out of minified JavaScript without running it. */

// One token of a minified object literal: string, number, name or keyword, minifier's boolean, punctuation.
const TOKEN = /("(?:[^"\\]|\\.)*")|(-?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?)|([A-Za-z_$][\w$]*)|(![01])|([{}[\]:,])/gy;

/**
 * The value of a minified object or array literal that holds data alone: strings in double quotes, decimal numbers (`.5`,
 * `1e3`), `!0`, `!1`, `null`, arrays and objects with quoted or plain keys. Throws SyntaxError at anything else.
 */
export function parseMinifiedLiteral(source: string): unknown {
  let json = '';
  let end = 0;
  for (const match of source.matchAll(TOKEN)) {
    const [token, text, number, name, flag] = match;
    end = match.index + token.length;
    if (number !== undefined) json += String(Number(number));
    else if (flag !== undefined) json += flag === '!0' ? 'true' : 'false';
    else if (name !== undefined) json += source[end] === ':' ? JSON.stringify(name) : name;
    else json += text ?? token;
  }
  if (end !== source.length)
    throw new SyntaxError(`no data literal at character ${end}: ${source.slice(end, end + 30)}`);
  return JSON.parse(json);
}
