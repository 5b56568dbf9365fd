import type { ProtocolError, WorkerEndedError } from "./errors.js";
import type { InitializeParams, Notifications } from "./types.js";

/** How to start a worker. */
export interface Command {
  /** The program: a path, or a name to look for on PATH. */
  command: string;
  args?: readonly string[] | undefined;
  /** Instead of this process's environment. */
  env?: Readonly<Record<string, string | undefined>> | undefined;
  /** Relative paths in params are relative to it. */
  cwd?: string | undefined;
  /** Hears what the worker writes on stderr. */
  onStderr?: ((text: string) => void) | undefined;
}

/** How long `close` waits before it takes the next step. */
export interface CloseOptions {
  /** For the worker to answer what is outstanding and end; then SIGTERM cancels it. 5000. */
  graceMs?: number;
  /** After SIGTERM; then comes SIGKILL. 2000. */
  terminateMs?: number;
}

/** A line of the worker's log. */
export type LogMessage = Notifications["$/logMessage"];

/** When a worker that ended by itself is started again. */
export interface RestartOptions {
  /** Starts in a row without an answer to any request, and times that one request is sent again. 3. */
  attempts?: number;
  /** Before the first start; doubled for each one in a row. 200. */
  delayMs?: number;
}

/** How to start a worker, and what to hear of it. */
export interface SpawnOptions extends Command {
  /** Hears the worker's log from `logLevel` on. */
  onLog?: ((message: LogMessage) => void) | undefined;
  /** `info` where there is an `onLog`. */
  logLevel?: InitializeParams["logLevel"];
  /** Hears of lines that are no messages of the protocol; they are skipped. */
  onError?: ((error: ProtocolError) => void) | undefined;
  /** Hears how a worker ended that was not asked to. */
  onExit?: ((error: WorkerEndedError) => void) | undefined;
  /** Start the worker again when it ended, and send what it left unanswered again. */
  restart?: boolean | RestartOptions | undefined;
  /** For the worker to be ready. 60000. */
  startTimeoutMs?: number | undefined;
  /** Written to the worker's log. */
  clientInfo?: InitializeParams["clientInfo"];
  /** For gated models. */
  hfToken?: InitializeParams["hfToken"];
}
