/** Connects the application with the worker. It does not depend on Electron. */
import { randomUUID } from "node:crypto";
import { stat } from "node:fs/promises";
import { basename, dirname, extname } from "node:path";
import {
  AbortError,
  RpcError,
  TranscriptionWorker,
  WorkerEndedError,
  type Params,
  type SpawnOptions,
  type TranscribeParams,
  type TranscribeResult,
} from "transcription-worker-client";
import type { Channel, Failure, Format, JobOptions, News, Outcome, Recording } from "./api.js";
import { asFormat, asJobOptions, asText, Refusal } from "./checks.js";

/** The largest recording that an html page embeds. */
const EMBEDDED_BYTES = 32 * 2 ** 20;

const RESTART = "Try again: the worker restarts. The health report shows what it lacks.";

/** What the session needs from the application. */
export interface Surroundings {
  worker: Pick<SpawnOptions, "command" | "args" | "cwd" | "env" | "onStderr">;
  /** Asks the user for a recording: its path, or null. */
  chooseRecording(): Promise<string | null>;
  /** Asks the user where to save, and before overwriting a file: a path, or null. */
  chooseTarget(name: string): Promise<string | null>;
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
  #last: { path: string; result: TranscribeResult } | undefined;
  #ended = false;

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
      if (error instanceof WorkerEndedError && !this.#job) this.#worker = undefined;
      return { ok: false, failure: describe(error) };
    }
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
        this.#ended = true;
        const [message = ""] = error.message.split(" Its stderr ends with:", 1);
        this.#tell({ kind: "worker", state: "ended", message, restarts: Boolean(this.#job) });
      },
    });
    return this.#worker;
  }

  #tell(news: News): void {
    if (news.kind !== "worker" && this.#ended) {
      this.#ended = false;
      this.#surroundings.tell({ kind: "worker", state: "running" });
    }
    this.#surroundings.tell(news);
  }

  async #transcribe(recording: string, options: JobOptions): Promise<TranscribeResult> {
    const path = this.#recordings.get(recording);
    if (path === undefined) throw new Refusal("No such recording is open.", "Open it first.");
    if (this.#job) throw new Refusal("A recording is being transcribed.", "Wait, or cancel it.");
    const { engine } = this.#surroundings;
    const job = (this.#job = new AbortController());
    this.#last = undefined;
    try {
      const worker = await this.#running();
      const stream = worker.transcribeStream({ ...params(path, options), ...(engine && { engine }) }, {
        signal: job.signal,
        onProgress: (report) => {
          if (report.kind === "report") this.#tell({ kind: "progress", report });
        },
      });
      for await (const part of stream) this.#tell({ kind: "segments", ...part });
      const result = await stream.result();
      this.#last = { path, result };
      return result;
    } finally {
      this.#job = undefined;
    }
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

/** The params of the worker's `transcribe`. */
function params(audio: string, options: JobOptions): Params<"transcribe"> {
  const { model, language, download, align, alignmentModel, diarize, diarizationModel } = options;
  return {
    audio,
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
