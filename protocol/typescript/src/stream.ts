import type { Call } from "./call.js";
import type { PartialStream } from "./methods.js";

/** How many parts to buffer for a slow consumer before the client stops reading. */
export const HIGH_WATER_PARTS = 16;

/** Buffers the partial results of a call for a consumer that iterates over them. */
export class PartsReader<Part, Result> implements PartialStream<Part, Result> {
  readonly #parts: Part[] = [];
  #call!: Call;
  #steer!: Steering;
  #iterated = false;
  #resultWanted = false;
  #over = false;
  #news: Promise<void> | undefined;
  #wake: () => void = () => {};

  /** With `merge`, parts that wait become one, so that they need no limit. */
  constructor(private readonly merge?: (earlier: Part, later: Part) => Part) {}

  /** Must be called once with the call, whose `onPartial` is {@link take}. */
  attach(call: Call, steer: Steering): void {
    this.#call = call;
    this.#steer = steer;
    const end = (): void => {
      this.#over = true;
      if (call.aborted) this.#parts.length = 0;
      this.#tell();
    };
    call.answer.then(end, end);
  }

  readonly take = (part: Part): void => {
    if (this.merge) {
      const waiting = this.#parts.pop();
      this.#parts.push(waiting === undefined ? part : this.merge(waiting, part));
    } else {
      if (this.#resultWanted && !this.#iterated) return;
      this.#parts.push(part);
      this.#gauge();
    }
    this.#tell();
  };

  result(): Promise<Result> {
    this.#resultWanted = true;
    if (!this.#iterated && !this.merge) this.#parts.length = 0;
    this.#gauge();
    return this.#call.answer as Promise<Result>;
  }

  [Symbol.asyncIterator](): this {
    this.#iterated = true;
    return this;
  }

  async next(): Promise<IteratorResult<Part, undefined>> {
    this.#iterated = true;
    if (this.#call.aborted) this.#parts.length = 0;
    while (this.#parts.length === 0 && !this.#over) {
      await (this.#news ??= new Promise((resolve) => (this.#wake = resolve)));
    }
    if (this.#parts.length > 0) {
      const value = this.#parts.shift()!;
      this.#gauge();
      return { value, done: false };
    }
    await this.#call.answer;
    return { value: undefined, done: true };
  }

  async return(): Promise<IteratorResult<Part, undefined>> {
    if (!this.#over) this.#steer.cancel();
    await this.#call.answer.catch(() => {});
    this.#parts.length = 0;
    return { value: undefined, done: true };
  }

  #tell(): void {
    this.#news = undefined;
    this.#wake();
  }

  #gauge(): void {
    const full =
      !this.#over &&
      !this.#call.aborted &&
      !this.#resultWanted &&
      this.#parts.length >= HIGH_WATER_PARTS;
    if (full === this.#call.full) return;
    this.#call.full = full;
    this.#steer.flow();
  }
}

/** How a stream controls its connection. */
export interface Steering {
  cancel(): void;
  flow(): void;
}
