/** What this node wrote to next stages and told nobody of: by receiver, model, cut and codec. */
import { WRITINGS_REPORTED_MAX, type LinkWriting } from '@shoal/protocol';

export class WrittenCount {
  readonly #counts = new Map<string, LinkWriting>();

  add(writing: LinkWriting): void {
    const { to, model, version, cut, codec, rows, bytes, plainBytes } = writing;
    const key = JSON.stringify([to, model, version, cut, codec]);
    const before = this.#counts.get(key) ?? { rows: 0, bytes: 0, plainBytes: 0 };
    this.#counts.set(key, {
      ...writing,
      rows: before.rows + rows,
      bytes: before.bytes + bytes,
      plainBytes: before.plainBytes + plainBytes,
    });
  }

  /** Since it was asked last; what a report has no room for, those of the fewest bytes, is forgotten. */
  take(): LinkWriting[] {
    const counts = [...this.#counts.values()];
    this.#counts.clear();
    return counts.sort((a, b) => b.bytes - a.bytes).slice(0, WRITINGS_REPORTED_MAX);
  }
}
