/** Small enough that turning one into bytes does not hold up the event loop. */
const PIECE_CHARS = 16 * 1024;

/** Many small texts put together into few pieces. */
export function* inPieces(texts: Iterable<string>): Generator<string, void> {
  let piece = '';
  for (const text of texts) {
    piece += text;
    if (piece.length >= PIECE_CHARS) {
      yield piece;
      piece = '';
    }
  }
  yield piece;
}
