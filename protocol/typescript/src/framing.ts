const LF = 0x0a;

/**
 * Splits a byte stream into lines, at 0x0A only. It joins a line's chunks once, at the line's end,
 * so that a long line costs no more per byte than a short one.
 */
export class LineSplitter {
  #begun: Uint8Array[] = [];

  /** Yields the non-empty lines that `chunk` completes, without their ends. */
  *push(chunk: Uint8Array): Generator<Uint8Array, void, undefined> {
    let start = 0;
    for (let end; (end = chunk.indexOf(LF, start)) !== -1; start = end + 1) {
      this.#begun.push(chunk.subarray(start, end));
      const line = this.#begun.length === 1 ? this.#begun[0]! : Buffer.concat(this.#begun);
      this.#begun = [];
      if (line.length > 0) yield line;
    }
    if (start < chunk.length) this.#begun.push(chunk.subarray(start));
  }
}
