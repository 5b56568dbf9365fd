/** Everything that the page may request. The preload script exposes it as `transcriber`. */
import type {
  ErrorKind,
  ExportParams,
  ListModelsResult,
  LiveSegment,
  LiveTranscribeResult,
  Notice,
  ProbeResult,
  ProgressReport,
  Segment,
  TranscribeResult,
  Turn,
} from "transcription-worker-client";

export type Format = ExportParams["formats"][number];

/** A file that the user has opened. The page learns its name, but not its path. */
export interface Recording {
  id: string;
  name: string;
  /** Bytes. */
  size: number;
}

/** A recording that was opened before. */
export interface RecentRecording {
  id: string;
  name: string;
  /** When, in ISO 8601. */
  opened: string;
}

/** The models of one task, and what there is for them. */
export type Models = Pick<ListModelsResult, "models" | "memory" | "freeDisk">;

export interface JobOptions {
  /** A known name, a hub id or a directory; so are the other models. */
  model: string;
  /** Null: detect it. */
  language: string | null;
  align: boolean;
  /** Null: the default model of the language. */
  alignmentModel: string | null;
  diarize: boolean;
  /** Null: pyannote's community-1. */
  diarizationModel: string | null;
  /** Null: determine it from the voices. */
  speakers: number | null;
  /** Download models that are not on this machine. */
  download: boolean;
}

export interface RecordOptions extends JobOptions {
  /** Samples per second. */
  sampleRate: number;
}

/** What is left of a recording, and what was said in it. If one of them failed, the other is kept. */
export interface Recorded {
  /** Null if nothing was recorded. */
  recording: Recording | null;
  /** Where it is kept. */
  path: string | null;
  /** Null if there is a failure. */
  result: LiveTranscribeResult | null;
  failure: Failure | null;
}

/** What a correction of the last transcript, or its undoing, has changed. */
export interface Change {
  /** The segments that are not as they were. */
  segments: Segment[];
  /** The ids of those that are no longer there. */
  removed: number[];
  /** Who speaks when; null without speakers. */
  turns: Turn[] | null;
  undoable: boolean;
  /** Whether there are corrections that no file has. */
  unsaved: boolean;
}

/** A transcript that was shown before. */
export interface Shown {
  recording: Recording;
  result: TranscribeResult;
  undoable: boolean;
  unsaved: boolean;
}

export interface Saved {
  path: string;
  /** What the file cannot show. */
  warnings: Notice[];
  unsaved: boolean;
}

/** Why a request failed, in words for the user. */
export interface Failure {
  kind: ErrorKind | "worker_ended" | "refused" | "microphone" | "unexpected";
  message: string;
  remedy: string | null;
  /** For a report: the end of the worker's stderr. */
  detail: string | null;
}

/** Errors lose their members on the way through Electron's IPC, so they travel as values. */
export type Outcome<T> = { ok: true; value: T } | { ok: false; failure: Failure };

/** Events while the page waits. */
export type News =
  | { kind: "progress"; report: ProgressReport }
  /** Of a model that is downloaded for itself. */
  | { kind: "download"; model: string; report: ProgressReport }
  | { kind: "segments"; language: string; segments: (Segment | LiveSegment)[] }
  /** From now on, it hears what is recorded. */
  | { kind: "listening" }
  /** `restarts`: at once, because a job waits, which starts over. */
  | { kind: "worker"; state: "ended"; message: string; restarts: boolean }
  | { kind: "worker"; state: "running"; restarted: boolean };

/** Each request, by the name of its channel. */
export interface Requests {
  /** What the page showed before it crashed, if it did. */
  resume: () => Shown | null;
  /** Lets the user choose a recording; null if the user cancels. */
  open: () => Recording | null;
  /** Opens the recording at this path, which the user dropped on the page. */
  add: (path: string) => Recording;
  /** What was opened last, newest first. */
  recent: () => RecentRecording[];
  /** Opens one of these. */
  reopen: (id: string) => Recording;
  /** Forgets all of these. */
  forget: () => void;
  transcribe: (recording: string, options: JobOptions) => TranscribeResult;
  /** Transcribes what it hears, until the page stops it. */
  record: (options: RecordOptions) => Recorded;
  /** Ends the recording after what was heard. */
  stop: () => void;
  /** Cancels either. */
  cancel: () => void;
  /** Names a speaker of the last transcript everywhere. Two of one name become one. */
  rename: (speaker: string, name: string) => Change;
  /** Corrects the text of a segment of the last transcript; without text it is removed. */
  correct: (segment: number, text: string) => Change;
  /** Takes the last of these back. */
  undo: () => Change;
  /** Saves the last transcript where the user chooses; null if the user cancels. */
  save: (format: Format) => Saved | null;
  /** Those that recognise speech. */
  models: () => Models;
  /** Downloads one of them, while other requests go on. */
  download: (model: string) => void;
  /** Cancels the download. What was downloaded is kept: the next one goes on from there. */
  halt: (model: string) => void;
  probe: () => ProbeResult;
}

export type Channel = keyof Requests;
export const CHANNELS: readonly Channel[] = [
  "resume",
  "open",
  "add",
  "recent",
  "reopen",
  "forget",
  "transcribe",
  "record",
  "stop",
  "cancel",
  "rename",
  "correct",
  "undo",
  "save",
  "models",
  "download",
  "halt",
  "probe",
];

/** The channel of samples, which have no answer. */
export const SAMPLES = "samples";

type Answer<C extends Channel> = Promise<Outcome<ReturnType<Requests[C]>>>;
type Ask<C extends Channel> = (...args: Parameters<Requests[C]>) => Answer<C>;

export interface Api extends Omit<{ [C in Channel]: Ask<C> }, "add"> {
  drop(file: File): Answer<"add">;
  /** Of the recording that goes on; of one channel, from -1 to 1. */
  hear(samples: Float32Array): void;
  listen(listener: (news: News) => void): void;
}

/** How requests and news travel: Electron's IPC, or a stand-in for it. */
export interface Transport {
  /** Requests and samples arrive in the order in which they were sent. */
  ask<C extends Channel>(channel: C, ...args: Parameters<Requests[C]>): Answer<C>;
  send(samples: Float32Array): void;
  listen(listener: (news: News) => void): void;
  /** The path of a dropped file. */
  pathOf(file: File): string;
}

/** The API over a transport: one function per request, and no way to send another. */
export function api({ ask, send, listen, pathOf }: Transport): Api {
  return {
    resume: () => ask("resume"),
    open: () => ask("open"),
    drop: (file) => ask("add", pathOf(file)),
    recent: () => ask("recent"),
    reopen: (id) => ask("reopen", id),
    forget: () => ask("forget"),
    transcribe: (recording, options) => ask("transcribe", recording, options),
    record: (options) => ask("record", options),
    stop: () => ask("stop"),
    hear: (samples) => send(samples),
    cancel: () => ask("cancel"),
    rename: (speaker, name) => ask("rename", speaker, name),
    correct: (segment, text) => ask("correct", segment, text),
    undo: () => ask("undo"),
    save: (format) => ask("save", format),
    models: () => ask("models"),
    download: (model) => ask("download", model),
    halt: (model) => ask("halt", model),
    probe: () => ask("probe"),
    listen: (listener) => listen((news) => listener(news)),
  };
}
