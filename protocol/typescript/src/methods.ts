import type {
  Methods,
  PartialAlignment,
  PartialTranscript,
  ProgressBegin,
  ProgressEnd,
  ProgressReport,
} from "./types.js";

/** A method of the worker that a client may ask for; `initialize` is sent by `spawn`. */
export type Method = Exclude<keyof Methods, "initialize">;

type Tokens = "progressToken" | "partialResultToken";

/** The params of a method. The tokens are the client's own affair: ask with callbacks. */
export type Params<M extends Method> = Omit<Methods[M]["params"], Tokens>;

/** The result of a method. */
export type Result<M extends Method> = Methods[M]["result"];

/** The methods whose results come in parts, too, and the parts. */
export interface Partials {
  transcribe: PartialTranscript;
  align: PartialAlignment;
}

/** How far a request is. */
export type Progress = ProgressBegin | ProgressReport | ProgressEnd;

type OptionsOfAll = {
  /** Cancels the request. It rejects with an `AbortError` when the worker has confirmed that. */
  signal?: AbortSignal | undefined;
};

type OptionsOfWork<M extends Method> = "progressToken" extends keyof Methods[M]["params"]
  ? {
      /** Hears how far the request is. */
      onProgress?: ((progress: Progress) => void) | undefined;
    }
  : unknown;

type OptionsOfPartials<M extends Method> = M extends keyof Partials
  ? {
      /** Hears parts of the result as they come; a segment that comes again replaces the first. */
      onPartial?: ((part: Partials[M]) => void) | undefined;
    }
  : unknown;

/** What to know about a request, and when to give it up. */
export type RequestOptions<M extends Method> = OptionsOfAll &
  OptionsOfWork<M> &
  OptionsOfPartials<M>;

/** The same for a request whose parts are iterated over. */
export type StreamOptions<M extends keyof Partials> = OptionsOfAll & OptionsOfWork<M>;

/**
 * The parts of a result as they come, for `for await`, and the result.
 *
 * While the consumer is behind, no more is read from the worker, unless other requests wait for
 * their answers. To leave the iteration early cancels the request.
 */
export interface PartialStream<Part, Result> extends AsyncIterableIterator<Part> {
  /**
   * The whole result, or why there is none. To ask for it before the iteration is over lifts the
   * bound on the parts that are kept; where there is no iteration, none are.
   */
  result(): Promise<Result>;
  /** Cancels the request and waits for its answer. */
  return(): Promise<IteratorResult<Part, undefined>>;
}
