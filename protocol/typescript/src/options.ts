import type { ProtocolError, WorkerEndedError } from "./errors.js";
import type { InitializeParams, Notifications } from "./types.js";

/** How to start a worker. */
export interface Command {
  /** The program: a path, or a name in PATH. Default: what `findWorker` finds. */
  command?: string | undefined;
  args?: readonly string[] | undefined;
  /** Replaces this process's environment. */
  env?: Readonly<Record<string, string | undefined>> | undefined;
  /** Working directory; relative paths in params start here. */
  cwd?: string | undefined;
  /** Receives the worker's stderr. */
  onStderr?: ((text: string) => void) | undefined;
}

/** How long each step of `close` waits. */
export interface CloseOptions {
  /** Time to answer open requests and end, before SIGTERM cancels them. Default: 5000. */
  graceMs?: number;
  /** Time after SIGTERM, before SIGKILL. Default: 2000. */
  terminateMs?: number;
}

/** A message of the worker's log. */
export type LogMessage = Notifications["$/logMessage"];

/** How to restart a worker that ended unexpectedly. */
export interface RestartOptions {
  /**
   * Maximum number of restarts in a row without any answer, and of times that one request is sent
   * again. Default: 3.
   */
  attempts?: number;
  /** Delay before the first restart; it doubles with each one in a row. Default: 200. */
  delayMs?: number;
}

/** How to start a worker, and callbacks for its events. */
export interface SpawnOptions extends Command {
  /** Receives the worker's log messages of `logLevel` and above. */
  onLog?: ((message: LogMessage) => void) | undefined;
  /** Default: `info` if there is an `onLog`. */
  logLevel?: InitializeParams["logLevel"];
  /** Called for a line that is not a message of the protocol; the client skips it. */
  onError?: ((error: ProtocolError) => void) | undefined;
  /** Called when the worker ends unexpectedly. */
  onExit?: ((error: WorkerEndedError) => void) | undefined;
  /** Restart a worker that ended, and send its unanswered requests again. */
  restart?: boolean | RestartOptions | undefined;
  /** How long the worker may take to become ready. Default: 60000. */
  startTimeoutMs?: number | undefined;
  /** Written to the worker's log. */
  clientInfo?: InitializeParams["clientInfo"];
  /** Hub token for gated models. */
  hfToken?: InitializeParams["hfToken"];
}
