import { spawn, type ChildProcessWithoutNullStreams } from "node:child_process";
import type { Readable, Writable } from "node:stream";
import { hand } from "./call.js";
import type { Ending } from "./errors.js";
import type { CloseOptions, Command } from "./options.js";

const TAIL_CHARACTERS = 8192;
/** How long to read the pipes of an ended process: its descendants may hold them open. */
const PIPES_MS = 1000;

/** A worker process and its pipes. */
export class WorkerProcess {
  readonly stdin: Writable;
  readonly stdout: Readable;
  /** Resolves when the process has ended; its pipes may still hold data. */
  readonly exited: Promise<void>;
  /** Resolves when the process has ended and its pipes are read. */
  readonly ended: Promise<Ending>;
  readonly #child: ChildProcessWithoutNullStreams;
  #tail = "";

  constructor(command: string, { args = [], env, cwd, onStderr }: Command) {
    const child = spawn(command, args, {
      stdio: ["pipe", "pipe", "pipe"],
      windowsHide: true,
      ...(env && { env }),
      ...(cwd !== undefined && { cwd }),
    });
    this.#child = child;
    this.stdin = child.stdin;
    this.stdout = child.stdout;
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      this.#tail = (this.#tail + text).slice(-TAIL_CHARACTERS);
      hand(onStderr, text);
    });
    let startError: Error | undefined;
    child.on("error", (error) => {
      if (child.pid === undefined) startError = error;
    });
    this.exited = new Promise((resolve) => {
      child.once("exit", () => resolve());
      child.once("error", () => child.pid === undefined && resolve());
    });
    const closed = new Promise<void>((resolve) => child.once("close", () => resolve()));
    this.ended = this.exited.then(async () => {
      await within(closed, PIPES_MS);
      for (const pipe of child.stdio) pipe?.destroy();
      const { exitCode, signalCode: signal } = child;
      const ending = { exitCode, signal, stderrTail: this.#tail };
      return startError ? { ...ending, exitCode: null, startError } : ending;
    });
  }

  get id(): number | undefined {
    return this.#child.pid;
  }

  /** Closes stdin, then sends SIGTERM and finally SIGKILL if the process does not end. */
  async end({ graceMs = 5000, terminateMs = 2000 }: CloseOptions = {}): Promise<Ending> {
    this.stdin.end();
    if (!(await within(this.exited, graceMs))) {
      this.#child.kill("SIGTERM");
      if (!(await within(this.exited, terminateMs))) this.#child.kill("SIGKILL");
    }
    return this.ended;
  }
}

/** Whether `promise` is fulfilled within `ms`. */
export async function within(promise: Promise<unknown>, ms: number): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<boolean>((resolve) => (timer = setTimeout(() => resolve(false), ms)));
  try {
    return await Promise.race([promise.then(() => true), late]);
  } finally {
    clearTimeout(timer);
  }
}
