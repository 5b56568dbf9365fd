import type {
  Methods,
  PartialAlignment,
  PartialLive,
  PartialTranscript,
  ProgressBegin,
  ProgressEnd,
  ProgressReport,
} from "./types.js";

/** A method that a client may call; `spawn` sends `initialize` itself. */
export type Method = Exclude<keyof Methods, "initialize">;

type Tokens = "progressToken" | "partialResultToken";

/** The params of a method, without tokens: the client sets those if there are callbacks. */
export type Params<M extends Method> = Omit<Methods[M]["params"], Tokens>;

/** The result of a method. */
export type Result<M extends Method> = Methods[M]["result"];

/** The methods that send partial results, and the types of these. */
export interface Partials {
  transcribe: PartialTranscript;
  align: PartialAlignment;
  "live/transcribe": PartialLive;
}

/** How far a request is. */
export type Progress = ProgressBegin | ProgressReport | ProgressEnd;

type OptionsOfAll = {
  /** Cancels the request; it rejects with an `AbortError` once the worker has confirmed that. */
  signal?: AbortSignal | undefined;
};

type OptionsOfWork<M extends Method> = "progressToken" extends keyof Methods[M]["params"]
  ? {
      /** Receives the progress of the request. */
      onProgress?: ((progress: Progress) => void) | undefined;
    }
  : unknown;

type OptionsOfPartials<M extends Method> = M extends keyof Partials
  ? {
      /** Receives partial results; a segment with a known `id` replaces the earlier one. */
      onPartial?: ((part: Partials[M]) => void) | undefined;
    }
  : unknown;

/** How to cancel a request, and callbacks for its progress and partial results. */
export type RequestOptions<M extends Method> = OptionsOfAll &
  OptionsOfWork<M> &
  OptionsOfPartials<M>;

/** The same for a request whose caller iterates over its partial results. */
export type StreamOptions<M extends keyof Partials> = OptionsOfAll & OptionsOfWork<M>;

/**
 * The partial results of a request, for `for await`, and its result.
 *
 * While the consumer is behind, the client stops reading from the worker, unless other requests
 * wait for their answers. Leaving the iteration early cancels the request.
 */
export interface PartialStream<Part, Result> extends AsyncIterableIterator<Part> {
  /**
   * Resolves with the whole result. Called before the iteration ends, it lifts the limit on buffered
   * parts; without an iteration, no parts are buffered.
   */
  result(): Promise<Result>;
  /** Cancels the request and waits for its answer. */
  return(): Promise<IteratorResult<Part, undefined>>;
}
