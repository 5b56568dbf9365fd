import type { CancelledBy, ErrorKind } from "./types.js";

/** The `error` member of a reply. */
export interface ErrorObject {
  code: number;
  message: string;
  data?: { kind?: ErrorKind; remedy?: string; by?: CancelledBy; [member: string]: unknown };
}

/** The worker answered a request with an error. */
export class RpcError extends Error {
  override readonly name = "RpcError";
  readonly code: number;
  /** Kind of the error; it never changes, so programs can rely on it. */
  readonly kind: ErrorKind | undefined;
  /** What to do about it. */
  readonly remedy: string | undefined;
  /** Who cancelled, if the kind is `cancelled`. */
  readonly by: CancelledBy | undefined;
  /** All members of the error's data, including those of its kind. */
  readonly data: Readonly<Record<string, unknown>>;

  constructor(
    /** The requested method. */
    readonly method: string,
    { code, message, data = {} }: ErrorObject,
  ) {
    super(message);
    this.code = code;
    this.kind = data.kind;
    this.remedy = data.remedy;
    this.by = data.by;
    this.data = data;
  }
}

/** The caller aborted the request through its signal, or left its iteration early. */
export class AbortError extends Error {
  override readonly name = "AbortError";
  readonly code = "ABORT_ERR";

  /** `cause` is the signal's `reason`. */
  constructor(cause?: unknown) {
    super("The request was aborted.", { cause });
  }
}

/** No `command` was given, and the worker's program is in no place where the client looks for it. */
export class WorkerNotFoundError extends Error {
  override readonly name = "WorkerNotFoundError";

  constructor(
    what: string,
    /** Where the client has looked. */
    readonly places: readonly string[],
    /** How to get a worker. */
    readonly remedy: string,
  ) {
    super(`${what} Looked at:\n${places.map((place) => `  ${place}\n`).join("")}${remedy}`);
  }
}

/** How a worker process ended. */
export interface Ending {
  /** Null if a signal ended it, or if it never started. */
  readonly exitCode: number | null;
  readonly signal: string | null;
  /** The end of its stderr. */
  readonly stderrTail: string;
  /** Why it did not start. */
  readonly startError?: Error;
}

/** The worker process ended, or never started, before it answered the request. */
export class WorkerEndedError extends Error implements Ending {
  override readonly name = "WorkerEndedError";
  readonly exitCode: number | null;
  readonly signal: string | null;
  readonly stderrTail: string;

  constructor(ending: Ending, what = describe(ending)) {
    const tail = ending.stderrTail.trimEnd();
    super(tail ? `${what} Its stderr ends with:\n${tail}` : what, { cause: ending.startError });
    this.exitCode = ending.exitCode;
    this.signal = ending.signal;
    this.stderrTail = ending.stderrTail;
  }
}

function describe({ exitCode, signal, startError }: Ending): string {
  if (startError) return `The worker did not start: ${startError.message}.`;
  if (signal !== null) return `The worker was ended by ${signal}.`;
  return `The worker ended with code ${exitCode}.`;
}

/** The worker wrote a line that is not a message of the protocol. */
export class ProtocolError extends Error {
  override readonly name = "ProtocolError";

  constructor(
    reason: string,
    /** The beginning of the line. */
    readonly line: string,
  ) {
    super(`The worker wrote ${reason}: ${line}`);
  }
}
