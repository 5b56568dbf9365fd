/** Connects the application with the worker. It does not depend on Electron. */
import { randomUUID } from "node:crypto";
import { mkdir, stat } from "node:fs/promises";
import { basename, dirname, extname, join } from "node:path";
import {
  AbortError,
  RpcError,
  TranscriptionWorker,
  WorkerEndedError,
  type LiveStream,
  type Params,
  type Progress,
  type SpawnOptions,
  type TranscribeParams,
  type TranscribeResult,
} from "transcription-worker-client";
import type {
  Channel,
  Failure,
  Format,
  JobOptions,
  News,
  Outcome,
  Recorded,
  Recording,
  RecordOptions,
} from "./api.js";
import { asFormat, asJobOptions, asRecordOptions, asSamples, asText, Refusal } from "./checks.js";

/** The largest recording that an html page embeds. */
const EMBEDDED_BYTES = 32 * 2 ** 20;

/** Of the worker's WAV files: what is no longer has no sound. */
const HEADER_BYTES = 80;

const RESTART = "Try again: the worker restarts. The health report shows what it lacks.";

/** What the session needs from the application. */
export interface Surroundings {
  worker: Pick<SpawnOptions, "command" | "args" | "cwd" | "env" | "onStderr">;
  /** Asks the user for a recording: its path, or null. */
  chooseRecording(): Promise<string | null>;
  /** Asks the user where to save, and before overwriting a file: a path, or null. */
  chooseTarget(name: string): Promise<string | null>;
  /** The folder of what is recorded. */
  recordings: string;
  tell(news: News): void;
  /** Which recogniser to use; the worker's own by default. */
  engine?: TranscribeParams["engine"];
}

type Handler = (...args: unknown[]) => Promise<unknown>;

export class Session {
  readonly #surroundings: Surroundings;
  /** Paths by id, only of recordings that the user has opened. */
  readonly #recordings = new Map<string, string>();
  #worker: Promise<TranscriptionWorker> | undefined;
  #job: AbortController | undefined;
  /** The recording that goes on. */
  #live: LiveStream | undefined;
  #last: { path: string; result: TranscribeResult } | undefined;
  /** Set from the end of the worker to the next news of a job: whether that starts over. */
  #ended: { restarts: boolean } | undefined;

  constructor(surroundings: Surroundings) {
    this.#surroundings = surroundings;
  }

  readonly #handlers: Record<Channel, Handler> = {
    open: async () => {
      const path = await this.#surroundings.chooseRecording();
      return path === null ? null : this.#add(path);
    },
    add: (path) => this.#add(asText(path)),
    transcribe: (recording, options) => this.#transcribe(asText(recording), asJobOptions(options)),
    record: (options) => this.#record(asRecordOptions(options)),
    stop: async () => void this.#live?.finish(),
    cancel: async () => this.#job?.abort(),
    save: (format) => this.#save(asFormat(format)),
    models: async () => (await (await this.#running()).models.list({ task: "recognition" })).models,
    probe: async () => (await this.#running()).environment.probe(),
  };

  /** Answers a request of the page; failures are answers, too. */
  async handle(channel: Channel, args: readonly unknown[]): Promise<Outcome<unknown>> {
    try {
      return { ok: true, value: await this.#handlers[channel](...args) };
    } catch (error) {
      return { ok: false, failure: this.#failure(error) };
    }
  }

  /** Takes samples of the recording that goes on; what else a page may send is ignored. */
  hear(samples: unknown): void {
    const heard = asSamples(samples);
    if (heard) this.#live?.push(heard);
  }

  /** Ends the job of a page that is gone. */
  abandon(): void {
    this.#job?.abort();
  }

  /** The path of a recording, if the user has opened it. */
  pathOf(recording: string): string | undefined {
    return this.#recordings.get(recording);
  }

  get workerProcessId(): Promise<number | undefined> {
    return this.#running().then((worker) => worker.processId);
  }

  async close(): Promise<void> {
    const worker = await this.#worker?.catch(() => undefined);
    await worker?.close({ graceMs: 0 });
  }

  async #add(path: string): Promise<Recording> {
    const { size } = await stat(path).catch(() => {
      throw new Refusal(`${basename(path)} cannot be read.`, "Open an existing file.");
    });
    const id = randomUUID();
    this.#recordings.set(id, path);
    return { id, name: basename(path), size };
  }

  /** The worker; started when first needed, and again when the client has given up restarting it. */
  #running(): Promise<TranscriptionWorker> {
    this.#worker ??= TranscriptionWorker.spawn({
      ...this.#surroundings.worker,
      clientInfo: { name: "transcriber" },
      restart: true,
      onExit: (error) => {
        const [message = ""] = error.message.split(" Its stderr ends with:", 1);
        const restarts = Boolean(this.#job) && !this.#live;
        this.#ended = { restarts };
        this.#tell({ kind: "worker", state: "ended", message, restarts });
      },
    });
    return this.#worker;
  }

  #tell(news: News): void {
    if (news.kind !== "worker" && this.#ended) {
      this.#surroundings.tell({
        kind: "worker",
        state: "running",
        restarted: this.#ended.restarts,
      });
      this.#ended = undefined;
    }
    this.#surroundings.tell(news);
  }

  async #transcribe(recording: string, options: JobOptions): Promise<TranscribeResult> {
    const path = this.#recordings.get(recording);
    if (path === undefined) throw new Refusal("No such recording is open.", "Open it first.");
    const { engine } = this.#surroundings;
    const job = this.#begin();
    try {
      const worker = await this.#running();
      const stream = worker.transcribeStream(
        { audio: path, ...common(options), ...(engine && { engine }) },
        {
          signal: job.signal,
          onProgress: (report) => this.#report(report),
        },
      );
      for await (const part of stream) this.#tell({ kind: "segments", ...part });
      const result = await stream.result();
      this.#last = { path, result };
      return result;
    } finally {
      this.#job = undefined;
    }
  }

  /** Keeps what is recorded, whatever becomes of the transcript. */
  async #record({ sampleRate, ...options }: RecordOptions): Promise<Recorded> {
    const job = this.#begin();
    const path = join(this.#surroundings.recordings, `${now()}.wav`);
    const recorded: Recorded = { recording: null, path: null, result: null, failure: null };
    try {
      await mkdir(dirname(path), { recursive: true });
      const worker = await this.#running();
      const live = worker.live(
        { ...common(options), sampleRate, record: path },
        { signal: job.signal, onProgress: (report) => this.#report(report) },
      );
      this.#live = live;
      this.#tell({ kind: "listening" });
      for await (const part of live) this.#tell({ kind: "segments", ...part });
      recorded.result = await live.result();
      this.#last = { path, result: recorded.result };
    } catch (error) {
      this.#job = undefined;
      recorded.failure = this.#failure(error);
    }
    this.#job = this.#live = undefined;
    const { size } = await stat(path).catch(() => ({ size: 0 }));
    return size > HEADER_BYTES ? { ...recorded, recording: await this.#add(path), path } : recorded;
  }

  #begin(): AbortController {
    if (this.#job) throw new Refusal("A recording is being transcribed.", "Wait, or cancel it.");
    this.#last = undefined;
    return (this.#job = new AbortController());
  }

  #report(report: Progress): void {
    if (report.kind === "report") this.#tell({ kind: "progress", report });
  }

  #failure(error: unknown): Failure {
    if (error instanceof WorkerEndedError && !this.#job) this.#worker = undefined;
    return describe(error);
  }

  async #save(format: Format): Promise<string | null> {
    if (!this.#last) throw new Refusal("There is no transcript.", "Transcribe a recording first.");
    const { path: recording, result: transcript } = this.#last;
    const stem = basename(recording, extname(recording));
    const suffix = format === "textgrid" ? ".TextGrid" : `.${format}`;
    const target = await this.#surroundings.chooseTarget(stem + suffix);
    if (target === null) return null;
    const embed = format === "html" && (await stat(recording)).size <= EMBEDDED_BYTES;
    const worker = await this.#running();
    const { files = [] } = await worker.export({
      transcript,
      formats: [format],
      outputDir: dirname(target),
      name: basename(target, suffix),
      overwrite: target.endsWith(suffix), // the dialog has asked the user about exactly this name
      ...(embed && { options: { embedAudio: recording } }),
    });
    return files[0]?.path ?? null;
  }
}

type Common = Pick<
  Params<"transcribe"> & Params<"live/transcribe">,
  "model" | "language" | "download" | "align" | "diarize"
>;

/** The params that the worker's methods have in common. */
function common(options: JobOptions): Common {
  const { model, language, download, align, alignmentModel, diarize, diarizationModel } = options;
  return {
    model,
    language,
    download,
    align: align && alignmentModel ? { model: alignmentModel } : align,
    diarize: diarize && {
      ...(diarizationModel && { model: diarizationModel }),
      numSpeakers: options.speakers,
    },
  };
}

/** A name for a file: `2026-11-30 22.15.03`. */
function now(): string {
  return new Date().toLocaleString("sv-SE").replaceAll(":", ".");
}

function describe(error: unknown): Failure {
  const told = { remedy: null, detail: null };
  if (error instanceof Refusal) {
    return { ...told, kind: "refused", message: error.message, remedy: error.remedy };
  }
  if (error instanceof AbortError) {
    return { ...told, kind: "cancelled", message: "The transcription was cancelled." };
  }
  if (error instanceof RpcError && error.kind === "cancelled") {
    // Not the user, who aborts instead: the worker is being ended, as when the application quits.
    return {
      ...told,
      kind: "worker_ended",
      message: "The worker was ended from outside.",
      remedy: RESTART,
    };
  }
  if (error instanceof RpcError) {
    const { kind = "unexpected", message, remedy = null, data } = error;
    const tail = data["stderrTail"];
    return { kind, message, remedy, detail: typeof tail === "string" ? tail : null };
  }
  if (error instanceof WorkerEndedError) {
    const [message = error.message] = error.message.split(" Its stderr ends with:", 1);
    return { kind: "worker_ended", message, remedy: RESTART, detail: error.stderrTail || null };
  }
  return { ...told, kind: "unexpected", message: String(error) };
}
