import { AbortError, RpcError, type ErrorObject } from "./errors.js";
import type { Methods } from "./types.js";

/** How a caller cancels a request and follows it. */
export interface CallOptions {
  signal?: AbortSignal | undefined;
  onProgress?: ((value: never) => void) | undefined;
  onPartial?: ((value: never) => void) | undefined;
}

/** Not sent again to a restarted worker: done twice, these would fail or do harm. */
const UNREPEATABLE: ReadonlySet<string> = new Set<keyof Methods>([
  "initialize",
  "shutdown",
  "models/unload",
  "models/remove",
]);

/** Of a stream that has ended with its worker, as has the audio that was sent to it. */
const STREAMED: ReadonlySet<string> = new Set<keyof Methods>([
  "live/transcribe",
  "live/append",
  "live/commit",
  "live/finish",
]);

/** One request until its answer, even if several worker processes have to run it. */
export class Call {
  /** Settles with the answer. */
  readonly answer: Promise<unknown>;
  /** How often it was sent to a worker. */
  sent = 0;
  /** Its reader is behind: more parts would have to be buffered. */
  full = false;
  aborted = false;

  #settle!: { resolve: (result: unknown) => void; reject: (error: unknown) => void };
  #reason: unknown;
  #onAbort: () => void = () => {};

  constructor(
    readonly id: number,
    readonly method: string,
    private readonly params: object,
    private readonly options: CallOptions = {},
  ) {
    this.answer = new Promise((resolve, reject) => (this.#settle = { resolve, reject }));
  }

  /** Whether to send it again if the worker ends before answering. */
  get repeatable(): boolean {
    if (STREAMED.has(this.method)) return false;
    const { overwrite } = this.params as { overwrite?: unknown };
    const idempotent = !UNREPEATABLE.has(this.method) && overwrite !== false;
    return !this.aborted && (idempotent || this.sent === 0);
  }

  /** The JSON-RPC request. */
  message(): object {
    const params = {
      ...this.params,
      ...(this.options.onProgress && { progressToken: `progress-${this.id}` }),
      ...(this.options.onPartial && { partialResultToken: `partial-${this.id}` }),
    };
    return { jsonrpc: "2.0", id: this.id, method: this.method, params };
  }

  /** Calls `cancel` when the caller's signal aborts. */
  watch(cancel: () => void): void {
    const { signal } = this.options;
    this.#onAbort = () => {
      if (this.aborted) return;
      this.abort(signal?.reason);
      cancel();
    };
    if (signal?.aborted) this.#onAbort();
    else signal?.addEventListener("abort", this.#onAbort, { once: true });
  }

  /** From now on, any answer becomes an {@link AbortError}. */
  abort(reason?: unknown): void {
    this.aborted = true;
    this.full = false;
    this.#reason = reason;
  }

  /** Passes the value of a `$/progress` notification to the caller. */
  notify(kind: "progress" | "partial", value: never): void {
    if (this.aborted) return;
    hand(kind === "progress" ? this.options.onProgress : this.options.onPartial, value);
  }

  resolve(result: unknown): void {
    if (this.aborted) return this.reject(undefined);
    this.#end();
    this.#settle.resolve(result);
  }

  refuse(error: ErrorObject): void {
    this.reject(new RpcError(this.method, error));
  }

  reject(error: unknown): void {
    this.#end();
    this.#settle.reject(this.aborted ? new AbortError(this.#reason) : error);
  }

  #end(): void {
    this.full = false;
    this.options.signal?.removeEventListener("abort", this.#onAbort);
  }
}

/** A notification about an open request. It is dropped where that is not open any more. */
export class Notice {
  /** It does not wait to be sent any more. */
  gone = false;

  constructor(
    readonly about: Call,
    private readonly method: string,
    private readonly params: object,
  ) {}

  /** The JSON-RPC notification. */
  message(): object {
    return { jsonrpc: "2.0", method: this.method, params: this.params };
  }
}

/** Calls back; an exception in the callback becomes uncaught, so it cannot break the connection. */
export function hand<T>(callback: ((value: T) => void) | undefined, value: T): void {
  try {
    callback?.(value);
  } catch (error) {
    queueMicrotask(() => {
      throw error;
    });
  }
}
