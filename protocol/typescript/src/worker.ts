import { Call, hand, type CallOptions, type Notice } from "./call.js";
import { unpackedPath } from "./electron.js";
import { WorkerEndedError, type Ending } from "./errors.js";
import { findWorker } from "./find.js";
import { LiveStream, type LiveOptions, type LiveParams, type Wire } from "./live.js";
import type {
  Method,
  Params,
  PartialStream,
  Partials,
  RequestOptions,
  Result,
  StreamOptions,
} from "./methods.js";
import type { CloseOptions, RestartOptions, SpawnOptions } from "./options.js";
import { within, WorkerProcess } from "./process.js";
import { whyNot } from "./program.js";
import { Connection, type Listener } from "./rpc.js";
import { PartsReader } from "./stream.js";
import type { InitializeParams, InitializeResult } from "./types.js";

const START_TIMEOUT_MS = 60_000;
/** The protocol's maximum: the worker needs no protection from its own application. */
const MAX_LINE_BYTES = 2 ** 31;
const RUNNING: Ending = { exitCode: null, signal: null, stderrTail: "" };

/** A worker process and its session; with `restart`, over several processes. */
export class TranscriptionWorker {
  readonly models = {
    list: this.#method("models/list"),
    download: this.#method("models/download"),
    load: this.#method("models/load"),
    unload: this.#method("models/unload"),
    remove: this.#method("models/remove"),
  };
  readonly speakers = { enroll: this.#method("speakers/enroll") };
  readonly environment = {
    probe: this.#method("environment/probe"),
    devices: this.#method("environment/devices"),
  };
  readonly jobs = { list: this.#method("jobs/list") };
  readonly hub = { whoami: this.#method("hub/whoami") };
  /** Opens a stream, which transcribes audio while it comes. */
  readonly live: Live = Object.assign(
    (params: LiveParams = {}, options: LiveOptions = {}) =>
      new LiveStream(params, options, this.#wire),
    {
      transcribe: this.#method("live/transcribe"),
      append: this.#method("live/append"),
      commit: this.#method("live/commit"),
      finish: this.#method("live/finish"),
    },
  );
  readonly rpc = { discover: this.#method("rpc.discover") };

  readonly #options: SpawnOptions;
  readonly #command: string;
  readonly #restart: Required<RestartOptions> | undefined;
  readonly #listener: Listener;
  readonly #wire: Wire = {
    send: (method, params, options) => this.#send(method, params, options),
    post: (notice) => this.#post(notice),
    cancel: (call) => this.#abort(call),
  };
  #process: WorkerProcess | undefined;
  #connection: Connection | undefined;
  #initialized!: InitializeResult;
  /** What to send to the next process. */
  #backlog: (Call | Notice)[] = [];
  #ids = 0;
  #restarts = 0;
  #starting = false;
  #closing: Promise<Ending> | undefined;
  /** Why the last process ended or did not start. */
  #lastError: Error | undefined;
  /** Set once no call will be answered any more: the reason. */
  #ended: Error | undefined;

  private constructor(options: SpawnOptions) {
    this.#options = options;
    this.#command = unpackedPath(options.command ?? findWorker({ env: options.env }));
    if (options.restart) {
      const wanted = options.restart === true ? {} : options.restart;
      this.#restart = { attempts: wanted.attempts ?? 3, delayMs: wanted.delayMs ?? 200 };
    }
    this.#listener = {
      onLog: (message) => hand(options.onLog, message),
      onError: (error) => hand(options.onError, error),
      onAnswer: (method) => {
        if (method !== "initialize") this.#restarts = 0;
      },
    };
  }

  /**
   * Starts a worker, and resolves when it is ready. The worker ends with this process. In a packaged
   * Electron application, a command in `app.asar` is started from `app.asar.unpacked`. Rejects with
   * `WorkerNotFoundError` or `WorkerEndedError`.
   */
  static async spawn(options: SpawnOptions = {}): Promise<TranscriptionWorker> {
    const worker = new TranscriptionWorker(options);
    await worker.#start();
    return worker;
  }

  /** The worker's answer to `initialize`. */
  get initialized(): InitializeResult {
    return this.#initialized;
  }

  /** The id of the current process. */
  get processId(): number | undefined {
    return this.#process?.id;
  }

  /** Calls any method. Rejects with `RpcError`, `AbortError` or `WorkerEndedError`. */
  request<M extends Method>(
    method: M,
    params: Params<M>,
    options?: RequestOptions<M>,
  ): Promise<Result<M>> {
    return this.#send(method, params, options).answer as Promise<Result<M>>;
  }

  /** Calls a method that sends partial results, and returns an iterator over these. */
  stream<M extends keyof Partials>(
    method: M,
    params: Params<M>,
    options?: StreamOptions<M>,
  ): PartialStream<Partials[M], Result<M>> {
    const stream = new PartsReader<Partials[M], Result<M>>();
    const call = this.#send(method, params, { ...options, onPartial: stream.take });
    stream.attach(call, {
      cancel: () => this.#abort(call),
      flow: () => this.#connection?.flow(),
    });
    return stream;
  }

  readonly ping = this.#method("ping");
  readonly transcribe = this.#method("transcribe");
  readonly align = this.#method("align");
  readonly diarize = this.#method("diarize");
  readonly detectSpeech = this.#method("detectSpeech");
  readonly detectLanguage = this.#method("detectLanguage");
  readonly export = this.#method("export");
  /** Accepts no new requests, but finishes the running ones. To end the worker, {@link close} it. */
  readonly shutdown = this.#method("shutdown");

  /** Transcribes; iterate over it to receive segments early. */
  transcribeStream(
    params: Params<"transcribe">,
    options?: StreamOptions<"transcribe">,
  ): PartialStream<Partials["transcribe"], Result<"transcribe">> {
    return this.stream("transcribe", params, options);
  }

  /** Aligns; iterate over it to receive segments early. */
  alignStream(
    params: Params<"align">,
    options?: StreamOptions<"align">,
  ): PartialStream<Partials["align"], Result<"align">> {
    return this.stream("align", params, options);
  }

  /**
   * Ends the worker: closes its stdin, so that it answers open requests and ends; after `graceMs`
   * sends SIGTERM, and after another `terminateMs` SIGKILL.
   */
  close(options?: CloseOptions): Promise<Ending> {
    this.#ended ??= new WorkerEndedError(RUNNING, "The worker was closed.");
    fail(this.#backlog.splice(0), this.#ended);
    this.#connection?.drain();
    return (this.#closing ??= this.#process!.end(options));
  }

  #method<M extends Method>(method: M): NamedMethod<M> {
    const named = (params = {} as Params<M>, options?: RequestOptions<M>): Promise<Result<M>> =>
      this.request(method, params, options);
    return named as NamedMethod<M>;
  }

  #send(method: string, params: object, options?: CallOptions): Call {
    const call = new Call(this.#nextId(), method, params, options);
    call.watch(() => this.#cancel(call));
    if (call.aborted || this.#ended) call.reject(this.#ended);
    else if (this.#connection) this.#connection.send(call);
    else {
      this.#backlog.push(call);
      void this.#startAgain(this.#restart!);
    }
    return call;
  }

  #post(notice: Notice): void {
    if (this.#ended) return;
    if (this.#connection) this.#connection.post(notice);
    else this.#backlog.push(notice);
  }

  #abort(call: Call): void {
    call.abort();
    this.#cancel(call);
  }

  #cancel(call: Call): void {
    const waiting = this.#backlog.indexOf(call);
    if (waiting === -1) return this.#connection?.cancel(call);
    this.#backlog.splice(waiting, 1);
    call.reject(undefined);
  }

  #nextId(): number {
    return (this.#ids += 1);
  }

  async #start(): Promise<void> {
    const { startTimeoutMs = START_TIMEOUT_MS } = this.#options;
    const child = this.#launch();
    const connection = new Connection(child.stdout, child.stdin, this.#listener);
    this.#process = child;
    void child.exited.then(() => connection.drain());
    void child.ended.then((ending) => {
      const ready = connection === this.#connection;
      this.#onEnded(connection, ready ? new WorkerEndedError(ending) : this.#notStarted(ending));
    });
    const initialize = this.#initialize();
    connection.send(initialize);
    const ready = await within(initialize.answer, startTimeoutMs).catch(async (error: unknown) => {
      await child.end({ graceMs: 0 });
      throw error;
    });
    if (!ready) {
      const ending = await child.end({ graceMs: 0 });
      throw new WorkerEndedError(ending, `The worker was not ready after ${startTimeoutMs} ms.`);
    }
    this.#initialized = (await initialize.answer) as InitializeResult;
    this.#connection = connection;
    for (const next of this.#backlog.splice(0)) {
      if (next instanceof Call) connection.send(next);
      else connection.post(next);
    }
  }

  #launch(): WorkerProcess {
    try {
      return new WorkerProcess(this.#command, this.#options);
    } catch (error) {
      // Node throws some of what the system says, and emits the rest.
      if (typeof (error as NodeJS.ErrnoException).errno !== "number") throw error;
      throw this.#notStarted({ ...RUNNING, startError: error as Error });
    }
  }

  #notStarted(ending: Ending): WorkerEndedError {
    const why = whyNot(this.#command, ending, this.#options);
    return new WorkerEndedError(ending, why && `The worker did not start: ${why}`);
  }

  #initialize(): Call {
    const { onLog, logLevel = onLog && "info", clientInfo, hfToken } = this.#options;
    return new Call(this.#nextId(), "initialize", {
      processId: process.pid,
      maxLineBytes: MAX_LINE_BYTES,
      ...(logLevel && { logLevel }),
      ...(clientInfo && { clientInfo }),
      ...(hfToken && { hfToken }),
    } satisfies InitializeParams);
  }

  #onEnded(connection: Connection, error: WorkerEndedError): void {
    const calls = connection.abandon();
    if (connection !== this.#connection) return fail(calls, error); // it never became ready
    this.#connection = undefined;
    if (!this.#ended) hand(this.#options.onExit, error);
    if (this.#ended || !this.#restart) {
      this.#ended ??= error;
      return fail(calls, error);
    }
    const { attempts } = this.#restart;
    this.#lastError = error;
    for (const call of calls) {
      if (call.repeatable && call.sent <= attempts) this.#backlog.push(call);
      else call.reject(error);
    }
    if (this.#backlog.length > 0) void this.#startAgain(this.#restart);
  }

  async #startAgain({ attempts, delayMs }: Required<RestartOptions>): Promise<void> {
    if (this.#starting) return;
    this.#starting = true;
    while (!this.#connection && !this.#ended) {
      if (this.#restarts >= attempts) {
        this.#ended = this.#lastError;
        break;
      }
      await new Promise((resolve) => setTimeout(resolve, delayMs * 2 ** this.#restarts));
      this.#restarts += 1;
      if (!this.#ended) await this.#start().catch((error: Error) => (this.#lastError = error));
    }
    this.#starting = false;
    if (this.#ended) fail(this.#backlog.splice(0), this.#ended);
  }
}

function fail(waiting: readonly (Call | Notice)[], error: Error): void {
  for (const each of waiting) if (each instanceof Call) each.reject(error);
}

/** Opens a stream; its members are the methods of the contract. */
interface Live {
  (params?: LiveParams, options?: LiveOptions): LiveStream;
  transcribe: NamedMethod<"live/transcribe">;
  append: NamedMethod<"live/append">;
  commit: NamedMethod<"live/commit">;
  finish: NamedMethod<"live/finish">;
}

/** A method by its own name; params may be omitted if none is required. */
type NamedMethod<M extends Method> =
  {} extends Params<M>
    ? (params?: Params<M>, options?: RequestOptions<M>) => Promise<Result<M>>
    : (params: Params<M>, options?: RequestOptions<M>) => Promise<Result<M>>;
