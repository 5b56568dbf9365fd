/** Connects the application with the worker. It does not depend on Electron. */
import { mkdir, stat } from "node:fs/promises";
import { basename, dirname, extname, join } from "node:path";
import {
  AbortError,
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
  Models,
  News,
  Outcome,
  Recorded,
  Recording,
  RecordOptions,
  Saved,
  Shown,
} from "./api.js";
import {
  asCorrection,
  asFormat,
  asJobOptions,
  asName,
  asNumber,
  asRecordOptions,
  asSamples,
  asText,
  Refusal,
} from "./checks.js";
import { Draft } from "./draft.js";
import { describe } from "./failure.js";
import { Recordings } from "./recordings.js";

/** The largest recording that an html page embeds. */
const EMBEDDED_BYTES = 32 * 2 ** 20;

/** Of the worker's WAV files: what is no longer has no sound. */
const HEADER_BYTES = 80;

/** What the session needs from the application. */
export interface Surroundings {
  worker: Pick<SpawnOptions, "command" | "args" | "cwd" | "env" | "onStderr">;
  /** Asks the user for a recording: its path, or null. */
  chooseRecording(): Promise<string | null>;
  /** Asks the user where to save, and before overwriting a file: a path, or null. */
  chooseTarget(name: string): Promise<string | null>;
  /** The folder of what is recorded. */
  recordings: string;
  /** The file that lists what was opened last. */
  recent: string;
  tell(news: News): void;
  /** How to transcribe; as the worker does by default. */
  settings?: Pick<TranscribeParams, "engine" | "computeType">;
}

type Handler = (...args: unknown[]) => Promise<unknown>;

export class Session {
  readonly #surroundings: Surroundings;
  readonly #recordings: Recordings;
  #worker: Promise<TranscriptionWorker> | undefined;
  #job: AbortController | undefined;
  /** The recording that goes on. */
  #live: LiveStream | undefined;
  /** The last transcript. */
  #draft: Draft | undefined;
  /** The page is gone, and no other has taken over. */
  #abandoned = false;
  /** By the names of the models. */
  readonly #downloads = new Map<string, AbortController>();
  /** Set from the end of the worker to the next news of a job: whether that starts over. */
  #ended: { restarts: boolean } | undefined;

  constructor(surroundings: Surroundings) {
    this.#surroundings = surroundings;
    this.#recordings = new Recordings(surroundings.recent);
  }

  readonly #handlers: Record<Channel, Handler> = {
    resume: async () => this.#resume(),
    open: async () => {
      const path = await this.#surroundings.chooseRecording();
      return path === null ? null : this.#replace(this.#recordings.add(path));
    },
    add: (path) => this.#replace(this.#recordings.add(asText(path))),
    recent: () => this.#recordings.recent(),
    reopen: (id) => this.#replace(this.#recordings.again(asText(id))),
    forget: () => this.#recordings.forget(),
    transcribe: (recording, options) => this.#transcribe(asText(recording), asJobOptions(options)),
    record: (options) => this.#record(asRecordOptions(options)),
    stop: async () => void this.#live?.finish(),
    cancel: async () => this.#job?.abort(),
    rename: async (speaker, name) => this.#last().rename(asText(speaker), asName(name)),
    correct: async (segment, text) => this.#last().correct(asNumber(segment), asCorrection(text)),
    undo: async () => this.#last().undo(),
    save: (format) => this.#save(asFormat(format)),
    models: () => this.#models(),
    download: (model) => this.#download(asText(model)),
    halt: async (model) => this.#downloads.get(asText(model))?.abort(),
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

  /** Ends the job of a page that is gone. Its transcript is there for the next one. */
  abandon(): void {
    this.#abandoned = true;
    this.#job?.abort();
  }

  /** The path of a recording, if the user has opened it. */
  pathOf(recording: string): string | undefined {
    return this.#recordings.pathOf(recording);
  }

  /** Whether there are corrections that no file has. */
  get unsaved(): boolean {
    return Boolean(this.#draft?.unsaved);
  }

  get workerProcessId(): Promise<number | undefined> {
    return this.#running().then((worker) => worker.processId);
  }

  async close(): Promise<void> {
    const worker = await this.#worker?.catch(() => undefined);
    await worker?.close({ graceMs: 0 });
  }

  async #resume(): Promise<Shown | null> {
    const draft = this.#abandoned ? this.#draft : undefined;
    this.#abandoned = false;
    if (!draft) return null;
    const { path, transcript, undoable, unsaved } = draft;
    return { recording: await this.#recordings.add(path), result: transcript, undoable, unsaved };
  }

  /** A recording takes the place of the one before, and of its transcript. */
  async #replace(opening: Promise<Recording>): Promise<Recording> {
    const recording = await opening;
    this.#draft = undefined;
    return recording;
  }

  async #models(): Promise<Models> {
    const worker = await this.#running();
    const { models, memory, freeDisk } = await worker.models.list({ task: "recognition" });
    return { models, memory, freeDisk };
  }

  async #download(model: string): Promise<void> {
    if (this.#downloads.has(model)) throw new Refusal("The model is being downloaded.", "Wait.");
    const download = new AbortController();
    this.#downloads.set(model, download);
    try {
      const worker = await this.#running();
      await worker.models.download(
        { model },
        {
          signal: download.signal,
          onProgress: (report) => {
            if (report.kind === "report") this.#tell({ kind: "download", model, report });
          },
        },
      );
    } catch (error) {
      if (!(error instanceof AbortError)) throw error;
    } finally {
      this.#downloads.delete(model);
    }
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
    const path = this.#recordings.pathOf(recording);
    if (path === undefined) throw new Refusal("No such recording is open.", "Open it first.");
    const { settings } = this.#surroundings;
    const job = this.#begin();
    try {
      const worker = await this.#running();
      const stream = worker.transcribeStream(
        { audio: path, ...common(options), ...settings },
        {
          signal: job.signal,
          onProgress: (report) => this.#report(report),
        },
      );
      for await (const part of stream) this.#tell({ kind: "segments", ...part });
      const result = await stream.result();
      this.#draft = new Draft(path, result);
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
      this.#draft = new Draft(path, recorded.result);
    } catch (error) {
      this.#job = undefined;
      recorded.failure = this.#failure(error);
    }
    this.#job = this.#live = undefined;
    const { size } = await stat(path).catch(() => ({ size: 0 }));
    if (size <= HEADER_BYTES) return recorded;
    return { ...recorded, recording: await this.#recordings.add(path), path };
  }

  #begin(): AbortController {
    if (this.#job) throw new Refusal("A recording is being transcribed.", "Wait, or cancel it.");
    this.#draft = undefined;
    return (this.#job = new AbortController());
  }

  #report(report: Progress): void {
    if (report.kind === "report") this.#tell({ kind: "progress", report });
  }

  #failure(error: unknown): Failure {
    if (error instanceof WorkerEndedError && !this.#job) this.#worker = undefined;
    return describe(error);
  }

  #last(): Draft {
    if (this.#draft) return this.#draft;
    throw new Refusal("There is no transcript.", "Transcribe a recording first.");
  }

  async #save(format: Format): Promise<Saved | null> {
    const draft = this.#last();
    const { path: recording, transcript } = draft;
    const stem = basename(recording, extname(recording));
    const suffix = format === "textgrid" ? ".TextGrid" : `.${format}`;
    const target = await this.#surroundings.chooseTarget(stem + suffix);
    if (target === null) return null;
    const { size } = await stat(recording).catch(() => ({ size: Infinity }));
    const embed = format === "html" && size <= EMBEDDED_BYTES;
    const worker = await this.#running();
    const { files = [], warnings } = await worker.export({
      transcript,
      formats: [format],
      outputDir: dirname(target),
      name: basename(target, suffix),
      overwrite: target.endsWith(suffix), // the dialog has asked the user about exactly this name
      ...(embed && { options: { embedAudio: recording } }),
    });
    draft.saved(transcript, format);
    return { path: files[0]?.path ?? target, warnings, unsaved: draft.unsaved };
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
