#!/usr/bin/env node
/**
 * `npx transcription-worker-client …`: runs the worker's program, wherever it is, as if it had been
 * called itself. It gets the arguments, the streams and the signals; its exit code is this one's.
 */
import { spawn, type ChildProcess } from "node:child_process";
import { isatty } from "node:tty";
import { WorkerNotFoundError } from "./errors.js";
import { findWorker } from "./find.js";
import { whyNot } from "./program.js";

/** What a shell exits with if there is no program, or none that can run. */
const NOT_FOUND = 127;
const CANNOT_RUN = 126;
const SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP"] as const;
/**
 * Ctrl-C reaches all programs in a terminal: passed on too, it would be a second Ctrl-C. To touch
 * `process.stdin` would make the pipe that the worker reads one that does not block.
 */
const CTRL_C_IS_SHARED = process.platform === "win32" || [0, 1, 2].some(isatty);

function fail(message: string, exitCode: number): void {
  process.stderr.write(`${message}\n`);
  process.exitCode = exitCode;
}

function run(program: string): void {
  const refuse = (startError: Error): void =>
    fail(whyNot(program, { startError, exitCode: null }) ?? startError.message, CANNOT_RUN);
  let child: ChildProcess;
  try {
    child = spawn(program, process.argv.slice(2), { stdio: "inherit" });
  } catch (error) {
    return refuse(error as Error);
  }
  for (const signal of SIGNALS) {
    process.on(signal, () => void ((signal === "SIGINT" && CTRL_C_IS_SHARED) || child.kill(signal)));
  }
  child.on("error", (error) => child.pid === undefined && refuse(error));
  child.on("exit", (exitCode, signal) => {
    for (const each of SIGNALS) process.removeAllListeners(each);
    if (signal !== null) process.kill(process.pid, signal);
    else {
      const why = whyNot(program, { exitCode });
      if (why !== undefined) fail(why, CANNOT_RUN);
      else process.exitCode = exitCode!;
    }
  });
}

try {
  run(findWorker());
} catch (error) {
  if (!(error instanceof WorkerNotFoundError)) throw error;
  fail(error.message, NOT_FOUND);
}
