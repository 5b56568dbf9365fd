import { randomUUID } from "node:crypto";
import { Notice, type Call, type CallOptions } from "./call.js";
import { RpcError } from "./errors.js";
import type { Params, PartialStream, RequestOptions, Result } from "./methods.js";
import { encode, type Samples } from "./samples.js";
import { PartsReader } from "./stream.js";
import type { LiveSegment, LiveStreamResult, LiveTranscribeResult, PartialLive } from "./types.js";

/** The contract's defaults. */
const SAMPLE_RATE = 16_000;
const MAX_BACKLOG = 30;
/** Seconds of audio in one message, at most. */
const PIECE = 1;
/** How long to wait before the same audio is sent again to a worker whose backlog was full. */
const FULL_MS = 200;
/** Errors of a request that came when the stream had ended by itself. */
const ENDING: ReadonlySet<unknown> = new Set(["live_stream_finished", "live_stream_unknown"]);

/** How to open a live stream. By default, its name is a new one. */
export type LiveParams = Omit<Params<"live/transcribe">, "stream"> & {
  stream?: string | undefined;
};

/** How to cancel a live stream, and callbacks for its progress and partial results. */
export type LiveOptions = RequestOptions<"live/transcribe">;

/**
 * Audio that is transcribed while it comes, as one request that is open until the end.
 *
 * Iterate over it to receive the segments that changed; a consumer that is behind receives what it
 * missed as one part. Leaving the iteration early cancels the stream.
 *
 * If the stream fails, the iteration and each promise reject, but a promise that nobody awaits never
 * becomes an unhandled rejection.
 */
export class LiveStream implements PartialStream<PartialLive, LiveTranscribeResult> {
  /** Its name in the worker. */
  readonly stream: string;
  readonly #format: LiveParams["format"];
  readonly #rate: number;
  readonly #maxBacklog: number;
  readonly #reader = new PartsReader<PartialLive, Result<"live/transcribe">>(merged);
  readonly #call: Call;
  /** Resolves when the stream has its answer. */
  readonly #end: Promise<void>;
  readonly #known = new Map<number, LiveSegment>();
  #ordered: readonly LiveSegment[] | undefined;
  /** Resolves when what was asked for before is sent. */
  #sent: Promise<unknown> = Promise.resolve();
  #waiting: { notice: Notice; seconds: number }[] = [];
  /** Where the next audio begins, in samples. */
  #next = 0;
  /** Audio was dropped, so the worker must be told where the next begins. */
  #hole = false;
  #finished = false;
  #over = false;

  /** `worker.live` opens it. */
  constructor(
    params: LiveParams,
    options: LiveOptions,
    private readonly wire: Wire,
  ) {
    const { format, sampleRate = SAMPLE_RATE, maxBacklog = MAX_BACKLOG } = params;
    this.stream = params.stream ?? randomUUID();
    this.#format = format;
    this.#rate = sampleRate;
    this.#maxBacklog = maxBacklog;
    const onPartial = (part: PartialLive): void => {
      this.#keep(part.segments);
      this.#reader.take(part);
      options.onPartial?.(part);
    };
    const whole = { ...params, stream: this.stream };
    this.#call = wire.send("live/transcribe", whole, { ...options, onPartial });
    const end = (): void => void (this.#over = true);
    this.#end = this.#call.answer.then(end, end);
    this.#reader.attach(this.#call, {
      cancel: () => wire.cancel(this.#call),
      flow: () => {}, // parts are merged, so the reader is never full
    });
  }

  /** The transcript as it is known now, by time: the newest of each segment that has a text. */
  get segments(): readonly LiveSegment[] {
    return (this.#ordered ??= [...this.#known.values()].sort(
      (one, other) => one.start - other.start || one.id - other.id,
    ));
  }

  /**
   * Sends audio as it is recorded, and never waits. While the worker does not read, `maxBacklog`
   * seconds are kept; what comes then is a gap. After the end of the stream it does nothing.
   *
   * `at` is when the first sample was recorded, in seconds of the stream: what the worker has already
   * is skipped, and a hole becomes silence. By default, it follows the last sample.
   */
  push(samples: Samples, at?: number): void {
    if (this.#closed) return;
    for (const { seconds, params } of this.#pieces(samples, at)) {
      if (this.#unsent() + seconds > this.#maxBacklog) this.#hole = true;
      else {
        const notice = new Notice(this.#call, "live/append", params());
        this.#waiting.push({ notice, seconds });
        void this.#inOrder(() => this.wire.post(notice));
      }
    }
  }

  /** Sends audio from a file; resolves when the worker has room for more. `at` is as for `push`. */
  write(samples: Samples, at?: number): Promise<void> {
    if (this.#closed) return quiet(this.#refuse());
    // Encoded now, because the caller may use the array again.
    const pieces = Array.from(this.#pieces(samples, at), ({ seconds, params }) => {
      return { seconds, params: params() };
    });
    return this.#inOrder(async () => {
      for (const { seconds, params } of pieces) await this.#append(seconds, params);
    });
  }

  /** Ends the utterance that goes on, as when somebody lets go of a push-to-talk key. */
  commit(): Promise<LiveStreamResult> {
    return quiet(this.#closed ? this.#refuse() : this.#ask("live/commit"));
  }

  /** Ends the input, after all audio that was sent; resolves with the whole result. */
  finish(): Promise<LiveTranscribeResult> {
    const result = this.result();
    if (this.#closed) return result;
    const asked = this.#ask("live/finish");
    this.#finished = true;
    const failed = (error: unknown): typeof result => {
      if (this.#over || (error instanceof RpcError && ENDING.has(error.kind))) return result;
      throw error;
    };
    return quiet(asked.then(() => result, failed));
  }

  /** Discards the stream; resolves when the worker has confirmed that. */
  async cancel(): Promise<void> {
    await this.return();
  }

  /** Resolves with the whole result, when the stream ends. */
  result(): Promise<LiveTranscribeResult> {
    return this.#reader.result();
  }

  [Symbol.asyncIterator](): this {
    this.#reader[Symbol.asyncIterator]();
    return this;
  }

  next(): Promise<IteratorResult<PartialLive, undefined>> {
    return quiet(this.#reader.next());
  }

  /** Cancels the stream and waits for its answer. */
  return(): Promise<IteratorResult<PartialLive, undefined>> {
    return this.#reader.return();
  }

  get #closed(): boolean {
    return this.#finished || this.#dead;
  }

  get #dead(): boolean {
    return this.#over || this.#call.aborted;
  }

  #keep(segments: readonly LiveSegment[]): void {
    for (const segment of segments) {
      if (segment.final && segment.text.trim() === "") this.#known.delete(segment.id);
      else this.#known.set(segment.id, segment);
    }
    this.#ordered = undefined;
  }

  *#pieces(samples: Samples, at: number | undefined): Generator<Piece, void, undefined> {
    const most = Math.max(1, Math.floor(this.#rate * Math.min(PIECE, this.#maxBacklog / 4)));
    let start = at === undefined ? this.#next : at * this.#rate;
    for (let from = 0; from < samples.length; from += most) {
      const piece = samples.subarray(from, from + most);
      const where = at !== undefined || this.#hole ? { at: start / this.#rate } : {};
      start += piece.length;
      this.#next = Math.max(this.#next, start);
      const params = (): object => {
        this.#hole = false;
        return { stream: this.stream, audio: encode(piece, this.#format), ...where };
      };
      yield { seconds: piece.length / this.#rate, params };
    }
  }

  /** Seconds of pushed audio that the worker's pipe has not taken. */
  #unsent(): number {
    while (this.#waiting[0]?.notice.gone) this.#waiting.shift();
    return this.#waiting.reduce((sum, { seconds }) => sum + seconds, 0);
  }

  /** Sends audio until the worker takes it, and waits for room. */
  async #append(seconds: number, params: object): Promise<void> {
    while (!this.#dead) {
      const backlog = await this.#offer(params);
      if (backlog === undefined) await this.#pause(FULL_MS);
      else {
        const half = this.#maxBacklog / 2;
        // No slower than the audio, so that a worker that keeps pace is never idle.
        return this.#pause(1000 * seconds * Math.min(1, (backlog - half) / half));
      }
    }
    await this.#refuse();
  }

  /** The worker's backlog with this audio, or undefined if it has no room. */
  async #offer(params: object): Promise<number | undefined> {
    try {
      const { answer } = this.wire.send("live/append", params);
      return ((await answer) as LiveStreamResult).backlog;
    } catch (error) {
      if (error instanceof RpcError && error.kind === "live_overrun") return undefined;
      throw error;
    }
  }

  async #pause(ms: number): Promise<void> {
    if (ms <= 0) return;
    let timer: NodeJS.Timeout | undefined;
    await Promise.race([new Promise((resolve) => (timer = setTimeout(resolve, ms))), this.#end]);
    clearTimeout(timer);
  }

  /** Sends a request in its turn; what comes after it does not wait for its answer. */
  async #ask(method: string): Promise<LiveStreamResult> {
    const send = (): Call => this.wire.send(method, { stream: this.stream });
    const { answer } = await this.#inOrder(send);
    return answer.catch((error: unknown) => this.#explain(error)) as Promise<LiveStreamResult>;
  }

  /** Does something once what was asked for before is sent, unless the stream has ended by then. */
  #inOrder<T>(task: () => T | Promise<T>): Promise<T> {
    const turn = async (): Promise<T> => {
      if (this.#dead) return this.#refuse();
      return task();
    };
    const done = this.#sent.then(turn).catch((error: unknown) => this.#explain(error));
    this.#sent = quiet(done).catch(() => {});
    return done;
  }

  /** Rejects with what ended the stream, or else with the error. */
  #explain(error: unknown): Promise<never> {
    return this.#dead ? this.#refuse() : Promise.reject(error);
  }

  /** Rejects with what ended the stream. */
  async #refuse(): Promise<never> {
    if (this.#dead) await this.#call.answer;
    throw new Error("The live stream has ended, so it takes no more audio.");
  }
}

/** How a stream reaches its worker. */
export interface Wire {
  send(method: string, params: object, options?: CallOptions): Call;
  post(notice: Notice): void;
  cancel(call: Call): void;
}

interface Piece {
  seconds: number;
  params: () => object;
}

/** The newest of each segment, in the order of their first change. */
function merged(earlier: PartialLive, later: PartialLive): PartialLive {
  const segments = new Map([...earlier.segments, ...later.segments].map((each) => [each.id, each]));
  return { ...later, segments: [...segments.values()] };
}

/** Not awaited, it does not end the application. */
function quiet<T>(promise: Promise<T>): Promise<T> {
  promise.catch(() => {});
  return promise;
}
