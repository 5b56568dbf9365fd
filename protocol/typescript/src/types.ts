// Generated from ../../openrpc.json by `npm run types`.

/**
 * The `kind` of an error that the worker answers with.
 */
export type ErrorKind =
  | "parse_error"
  | "line_too_long"
  | "invalid_request"
  | "batch_too_large"
  | "shutting_down"
  | "method_not_found"
  | "invalid_params"
  | "internal_error"
  | "cancelled"
  | "busy"
  | "engine_crashed"
  | "engine_start_failed"
  | "engine_unavailable"
  | "out_of_memory"
  | "model_does_not_fit"
  | "model_busy"
  | "audio_not_found"
  | "audio_not_readable"
  | "audio_empty"
  | "audio_invalid"
  | "audio_no_stream"
  | "audio_no_channel"
  | "clip_out_of_range"
  | "audio_too_long"
  | "audio_too_large"
  | "model_not_found"
  | "model_not_cached"
  | "model_download_failed"
  | "model_invalid"
  | "device_unavailable"
  | "compute_type_unsupported"
  | "language_unsupported"
  | "model_gated"
  | "model_needs_pickle"
  | "disk_full"
  | "hub_unreachable"
  | "token_missing"
  | "token_invalid"
  | "transcript_invalid"
  | "speakers_unsatisfiable"
  | "storage_failed"
  | "export_failed"
  | "export_exists";
/**
 * Who cancelled: the `client`, by `$/cancelRequest`; a `signal` to the worker, SIGTERM or SIGINT; its `shutdown`, as by `exit`; or a failed `stage` of the same job. The last never leaves the worker: the answer is what was wrong with that stage.
 */
export type CancelledBy = "client" | "shutdown" | "signal" | "stage";

/**
 * Version 1.0 of the protocol.
 */
export interface Contract {
  methods: Methods;
  notifications: Notifications;
  errorKind: ErrorKind;
  cancelledBy: CancelledBy;
}
/**
 * Each method, with its params and result.
 */
export interface Methods {
  /**
   * Open a session: agree on limits, ask for logs, name the process to watch. Optional.
   */
  initialize: {
    params: InitializeParams;
    result: InitializeResult;
  };
  /**
   * Answer {} at once, whatever the engines do.
   */
  ping: {
    params: NoParams;
    result: {
      [k: string]: unknown;
    };
  };
  /**
   * Describe every method: an OpenRPC document.
   */
  "rpc.discover": {
    params: NoParams;
    result: {
      [k: string]: unknown;
    };
  };
  /**
   * List the jobs that wait or run.
   */
  "jobs/list": {
    params: ListJobsParams;
    result: ListJobsResult;
  };
  /**
   * Take no new requests; those running go on.
   */
  shutdown: {
    params: NoParams;
    result: null;
  };
  /**
   * Transcribe a recording; segments and progress stream to whoever asked.
   */
  transcribe: {
    params: TranscribeParams;
    result: TranscribeResult;
  };
  /**
   * Find when each word of a transcript is said.
   */
  align: {
    params: AlignParams;
    result: AlignResult;
  };
  /**
   * Find who speaks when.
   */
  diarize: {
    params: DiarizeParams;
    result: DiarizeResult;
  };
  /**
   * Write a transcript as subtitles, tables or annotations; as files or as texts.
   */
  export: {
    params: ExportParams;
    result: ExportResult;
  };
  /**
   * List the models that are known, cached or loaded.
   */
  "models/list": {
    params: ListModelsParams;
    result: ListModelsResult;
  };
  /**
   * Have a model in the cache, whole.
   */
  "models/download": {
    params: DownloadModelParams;
    result: DownloadModelResult;
  };
  /**
   * Load a model before it is needed.
   */
  "models/load": {
    params: LoadModelParams;
    result: LoadModelResult;
  };
  /**
   * Free the memory of a model, or of all.
   */
  "models/unload": {
    params: UnloadModelParams;
    result: UnloadModelResult;
  };
  /**
   * Delete a model from the cache.
   */
  "models/remove": {
    params: RemoveModelParams;
    result: RemoveModelResult;
  };
  /**
   * Try all that the worker needs of this machine, and say what to do.
   */
  "environment/probe": {
    params: ProbeParams;
    result: ProbeResult;
  };
  /**
   * Tell what there is to compute on, and what can use it.
   */
  "environment/devices": {
    params: DevicesParams;
    result: DevicesResult;
  };
  /**
   * Ask the hub whose token the worker has.
   */
  "hub/whoami": {
    params: WhoAmIParams;
    result: WhoAmIResult;
  };
}
/**
 * `processId` is watched: when that process ends, the worker does too.
 */
export interface InitializeParams {
  /**
   * The worker ends when this process does.
   */
  processId?: number | null;
  /**
   * Written to the log.
   */
  clientInfo?: ClientInfo | null;
  /**
   * Send `$/logMessage` notifications of this level and above; none are sent without it.
   */
  logLevel?: ("debug" | "error" | "info" | "warning") | null;
  /**
   * Longer lines are answered with line_too_long, and skipped; 64 MiB without it. Never more than `serve --max-line`, where the worker was started with that: the answer tells.
   */
  maxLineBytes?: number | null;
  /**
   * For gated models of the hub; without it HF_TOKEN or the hub's own login is used.
   */
  hfToken?: string | null;
}
/**
 * Who is calling; it is written to the log.
 */
export interface ClientInfo {
  name: string;
  version?: string | null;
}
/**
 * Answer to `initialize`; `processId` is the worker's own.
 */
export interface InitializeResult {
  processId: number;
  serverInfo: ServerInfo;
  capabilities: Capabilities;
  limits: Limits;
  protocolVersion: string;
}
/**
 * Name and version of the worker.
 */
export interface ServerInfo {
  name: string;
  version: string;
}
/**
 * What this worker can do.
 */
export interface Capabilities {
  methods: string[];
  notifications: string[];
  engines: {
    [k: string]: EngineInfo;
  };
}
/**
 * Whether an engine's packages are there, and which are missing or damaged.
 *
 * A glance: `environment/probe` tries them.
 */
export interface EngineInfo {
  available: boolean;
  missing: string[];
}
/**
 * What the worker refuses beyond.
 */
export interface Limits {
  maxLineBytes: number;
  maxBatchMembers: number;
  /**
   * Work requests that wait or run; more are answered with busy.
   */
  maxOpenJobs: number;
  /**
   * Bytes of the params of these together; one request alone may have more.
   */
  maxOpenBytes: number;
  /**
   * Seconds of a recording that are decoded; a longer one is answered with audio_too_long.
   */
  maxAudioDuration: number;
  /**
   * Bytes of a recording's file; a larger one is answered with audio_too_large.
   */
  maxAudioBytes: number;
  maxLoadedModels: number;
  /**
   * Bytes of resident memory for the worker and its engines; null for what the machine has.
   */
  memoryBudget: number | null;
  /**
   * Seconds without input and without open jobs after which the worker ends, with exit code 0; null where it stays.
   */
  idleExit: number | null;
}
/**
 * For methods without params: absent, `{}` and `[]` are the same.
 */
export interface NoParams {}
/**
 * Params of `jobs/list`.
 */
export interface ListJobsParams {}
/**
 * Result of `jobs/list`, in the order of acceptance.
 */
export interface ListJobsResult {
  jobs: JobInfo[];
  /**
   * Work beyond so many open jobs is refused as busy.
   */
  limit: number;
}
/**
 * A work request that waits or runs.
 *
 * `stage` and `percentage` are what was last reported: to whoever gave a `progressToken`.
 */
export interface JobInfo {
  /**
   * As the client wrote it; null for one that was sent as a notification.
   */
  id: number | string | null;
  method: string;
  state: "running" | "waiting";
  priority: string;
  /**
   * UTC in ISO 8601.
   */
  acceptedAt: string;
  /**
   * Since then.
   */
  seconds: number;
  stage?: string;
  percentage?: number;
}
/**
 * Params of `transcribe`. Only `audio` is required.
 *
 * Decoding options are faster-whisper's, with its defaults; one that the chosen mode ignores is listed in the result's `warnings`.
 */
export interface TranscribeParams {
  /**
   * A known name (`small`, `large-v3` …), a hub id (`owner/name`) or a model directory.
   * @default "small"
   */
  model?: string;
  /**
   * Branch, tag or commit of a hub model.
   */
  revision?: string | null;
  /**
   * Fetch the model from the hub when it is not cached. Nothing is fetched without it.
   * @default false
   */
  download?: boolean;
  /**
   * `auto` is a CUDA device where there is one that can be used, else the CPU.
   * @default "auto"
   */
  device?: "auto" | "cpu" | "cuda";
  /**
   * Which of several devices, from 0.
   * @default 0
   */
  deviceIndex?: number;
  /**
   * How CTranslate2 keeps weights and computes with them. `auto` is float16 on a CUDA device and int8 on a CPU; `default` is the type that the model is stored in, or float32 where the device lacks it.
   * @default "auto"
   */
  computeType?:
    | "auto"
    | "bfloat16"
    | "default"
    | "float16"
    | "float32"
    | "int16"
    | "int8"
    | "int8_bfloat16"
    | "int8_float16"
    | "int8_float32";
  /**
   * CPU threads of the model; 0 takes as many as this process may run on.
   * @default 0
   */
  threads?: number;
  /**
   * Path of an audio or video file.
   */
  audio: string;
  /**
   * Take this channel alone (from 0); all are mixed without it.
   */
  channel?: number | null;
  /**
   * Seconds into the recording.
   * @default 0
   */
  start?: number;
  /**
   * Only the part between `start` and `end`; times stay those of the recording.
   */
  end?: number | null;
  /**
   * `whisperx` gives what the whisperx package gives on the same model, audio and options.
   * @default "faster-whisper"
   */
  engine?: "faster-whisper" | "whisperx";
  /**
   * Use the batched pipeline with this many windows at a time; one after another without it. With `faster-whisper`, windows that miss a threshold are decoded again either way.
   */
  batchSize?: number | null;
  /**
   * Give the words the exact times of an alignment model.
   * @default false
   */
  align?: boolean | AlignmentOptions;
  /**
   * Tell the speakers apart, and name one for each word and segment.
   * @default false
   */
  diarize?: boolean | SpeakerOptions;
  /**
   * Take each channel of the recording for a speaker, named as listed, or CHANNEL_00 …
   * @default false
   */
  channelSpeakers?: boolean | string[];
  /**
   * When alignment or diarization fails: give the rest with a warning, or fail the request.
   * @default "warn"
   */
  onStageError?: "fail" | "warn";
  /**
   * Path of a directory in which results are kept as they come: the same request with it goes on where one was broken off. Made when it is not there; yours to remove.
   */
  checkpoint?: string | null;
  /**
   * Also write the transcript in these formats: into `outputDir`, else into the result.
   */
  formats?:
    | (
        | "ass"
        | "csv"
        | "html"
        | "json"
        | "lrc"
        | "rttm"
        | "srt"
        | "textgrid"
        | "tsv"
        | "txt"
        | "vtt"
      )[]
    | null;
  /**
   * Path of a directory, which is made when it is not there.
   */
  outputDir?: string | null;
  /**
   * Of those files, without suffix; the recording's without it.
   */
  name?: string | null;
  /**
   * Replace files that are there; they are an error otherwise.
   * @default true
   */
  overwrite?: boolean;
  /**
   * How captions look.
   */
  formatOptions?: ExportOptions;
  /**
   * Code such as `en`; detected without it.
   */
  language?: string | null;
  /**
   * `translate`: into English.
   * @default "transcribe"
   */
  task?: "transcribe" | "translate";
  /**
   * Hypotheses that are followed at temperature 0.
   * @default 5
   */
  beamSize?: number;
  /**
   * Samples to choose from at other temperatures.
   * @default 5
   */
  bestOf?: number;
  /**
   * How long a beam search goes on, as a factor.
   * @default 1
   */
  patience?: number;
  /**
   * Above 1 longer hypotheses are preferred.
   * @default 1
   */
  lengthPenalty?: number;
  /**
   * Above 1 tokens that came before are made less likely.
   * @default 1
   */
  repetitionPenalty?: number;
  /**
   * No sequence of so many tokens comes twice; 0: any may.
   * @default 0
   */
  noRepeatNgramSize?: number;
  /**
   * One temperature, or several tried in turn when a threshold is missed. What is drawn at random is drawn alike each time: the same request gives the same words.
   */
  temperature?: number | number[];
  /**
   * Text that compresses better than this is repetitive, and decoded again.
   * @default 2.4
   */
  compressionRatioThreshold?: number | null;
  /**
   * A mean log probability below this is a failure, and decoded again.
   * @default -1
   */
  logProbThreshold?: number | null;
  /**
   * Above this probability, and below `logProbThreshold`, a window is silence.
   * @default 0.6
   */
  noSpeechThreshold?: number | null;
  /**
   * Give the text so far as a prompt to the next window.
   * @default true
   */
  conditionOnPreviousText?: boolean;
  /**
   * That prompt is left out after a window decoded above this temperature.
   * @default 0.5
   */
  promptResetOnTemperature?: number;
  /**
   * Text or tokens before the first window.
   */
  initialPrompt?: string | number[] | null;
  /**
   * Text with which the first window begins.
   */
  prefix?: string | null;
  /**
   * Words that are likely to come.
   */
  hotwords?: string | null;
  /**
   * No window begins with a blank.
   * @default true
   */
  suppressBlank?: boolean;
  /**
   * Token ids never to decode; -1 stands for the usual non-speech symbols.
   */
  suppressTokens?: number[] | null;
  /**
   * Decode text tokens alone.
   * @default false
   */
  withoutTimestamps?: boolean;
  /**
   * The first timestamp of a window is no later than this.
   * @default 1
   */
  maxInitialTimestamp?: number;
  /**
   * Give each word its times, from the decoder's attention.
   * @default false
   */
  wordTimestamps?: boolean;
  /**
   * Belong to the word after them.
   * @default "\"'“¿([{-"
   */
  prependPunctuations?: string;
  /**
   * Belong to the word before them.
   * @default "\"'.。,，!！?？:：”)]}、"
   */
  appendPunctuations?: string;
  /**
   * Detect the language of each segment.
   * @default false
   */
  multilingual?: boolean;
  /**
   * Skip what Silero VAD takes for silence. Null: on in batched mode and with `channelSpeakers`, off otherwise.
   */
  vadFilter?: boolean | null;
  /**
   * How speech is detected.
   */
  vadParameters?: VadParameters | null;
  /**
   * Tokens of a window at most.
   */
  maxNewTokens?: number | null;
  /**
   * Length of a window in seconds.
   */
  chunkLength?: number | null;
  /**
   * start, end, start, end …: only these parts are decoded. The last end may be left out.
   */
  clipTimestamps?: number[] | null;
  /**
   * With word times: skip silences longer than this where text looks made up.
   */
  hallucinationSilenceThreshold?: number | null;
  /**
   * A language is taken once its probability is above this.
   * @default 0.5
   */
  languageDetectionThreshold?: number | null;
  /**
   * Windows to listen to until then.
   * @default 1
   */
  languageDetectionSegments?: number;
  /**
   * Interactive requests overtake those of a batch.
   * @default "interactive"
   */
  priority?: "batch" | "interactive";
  /**
   * How long its models stay loaded afterwards, in seconds; the worker's default without it.
   */
  keepAlive?: number | "forever" | null;
  /**
   * Send `$/progress` notifications with this token; none are sent without it.
   */
  progressToken?: number | string | null;
  /**
   * Send parts of the result as they come, with this token.
   */
  partialResultToken?: number | string | null;
}
/**
 * How to align. The model is a wav2vec2 CTC model that knows the language's letters.
 */
export interface AlignmentOptions {
  /**
   * Branch, tag or commit of a hub model.
   */
  revision?: string | null;
  /**
   * Fetch the model when it is not cached. Within `transcribe`, null means as there.
   */
  download?: boolean | null;
  /**
   * `auto` is a CUDA device where there is one that can be used, else the CPU.
   * @default "auto"
   */
  device?: "auto" | "cpu" | "cuda" | "mps";
  /**
   * Which of several devices, from 0.
   * @default 0
   */
  deviceIndex?: number;
  /**
   * CPU threads; 0 takes as many as this process may run on, less beside other stages.
   * @default 0
   */
  threads?: number;
  /**
   * Read weights that can run code while they are read. Only for makers whom you trust.
   * @default false
   */
  allowPickle?: boolean;
  /**
   * A torchaudio bundle's name, a hub id or a directory; whisperX's choice for the language.
   */
  model?: string | null;
  /**
   * `batched`: forward passes over many segments, alignment by torchaudio. `whisperx`: the whisperx package's own, a segment at a time, for comparison.
   * @default "batched"
   */
  aligner?: "batched" | "whisperx";
  /**
   * Segments in a forward pass of the batched aligner.
   * @default 8
   */
  batchSize?: number;
  /**
   * Also give the times of characters.
   * @default false
   */
  characters?: boolean;
  /**
   * How whisperX's aligner gives times to words that it cannot align.
   * @default "nearest"
   */
  interpolation?: "linear" | "nearest";
}
/**
 * Diarization within `transcribe`, where words and segments get their speakers.
 */
export interface SpeakerOptions {
  /**
   * Branch, tag or commit of a hub model.
   */
  revision?: string | null;
  /**
   * Fetch the model when it is not cached. Within `transcribe`, null means as there.
   */
  download?: boolean | null;
  /**
   * `auto` is a CUDA device where there is one that can be used, else the CPU.
   * @default "auto"
   */
  device?: "auto" | "cpu" | "cuda" | "mps";
  /**
   * Which of several devices, from 0.
   * @default 0
   */
  deviceIndex?: number;
  /**
   * CPU threads; 0 takes as many as this process may run on, less beside other stages.
   * @default 0
   */
  threads?: number;
  /**
   * Read weights that can run code while they are read. Only for makers whom you trust.
   * @default false
   */
  allowPickle?: boolean;
  /**
   * A pyannote pipeline: a hub id or a directory.
   * @default "pyannote/speaker-diarization-community-1"
   */
  model?: string;
  /**
   * Exactly so many.
   */
  numSpeakers?: number | null;
  /**
   * At least so many.
   */
  minSpeakers?: number | null;
  /**
   * At most so many.
   */
  maxSpeakers?: number | null;
  /**
   * Windows in a forward pass; the pipeline's own choice without it.
   */
  batchSize?: number | null;
  /**
   * Also give a vector that stands for each speaker's voice.
   * @default false
   */
  embeddings?: boolean;
  /**
   * `nearest`: a word that falls into no turn goes to the nearest one. `whisperx`: it stays without a speaker, as in the whisperx package.
   * @default "nearest"
   */
  assignment?: "nearest" | "whisperx";
}
/**
 * How captions look. One that none of the formats uses is listed in `warnings`.
 */
export interface ExportOptions {
  /**
   * Columns of a line; an ideograph or an emoji takes two. Lines are not broken without it.
   */
  maxLineLength?: number | null;
  /**
   * Lines of a cue; what is longer becomes several cues. Needs `maxLineLength`.
   */
  maxLines?: number | null;
  /**
   * Seconds that a cue is shown at most.
   */
  maxDuration?: number | null;
  /**
   * Name the speakers where there are any.
   * @default true
   */
  speakerLabels?: boolean;
  /**
   * Mark each word while it is said: underlined in srt and vtt, karaoke in ass and lrc.
   * @default false
   */
  highlightWords?: boolean;
  /**
   * Path of the recording from the html page's folder, with `/`: the page plays it from there. Without it the page asks its reader for the recording.
   */
  audio?: string | null;
  /**
   * Path of a recording of at most 32 MiB to put into the html page itself.
   */
  embedAudio?: string | null;
}
/**
 * Silero VAD, as faster-whisper runs it; times in seconds. Absent values are its defaults.
 */
export interface VadParameters {
  threshold?: number | null;
  negThreshold?: number | null;
  minSpeechDuration?: number | null;
  maxSpeechDuration?: number | null;
  minSilenceDuration?: number | null;
  speechPad?: number | null;
}
/**
 * Result of `transcribe`. Silence gives an empty `text` and no segments.
 */
export interface TranscribeResult {
  text: string;
  language: string;
  languageProbability: number;
  /**
   * Seconds of audio transcribed.
   */
  duration: number;
  durationAfterVad: number;
  segments: TranscriptionSegment[];
  model: string;
  engine: string;
  device: string;
  computeType: string;
  warnings: Notice[];
  timings: Timings;
  /**
   * Seconds of work per second of audio: waiting and loading are not counted.
   */
  realTimeFactor: number;
  /**
   * With `diarize`: who speaks when, overlaps included.
   */
  turns?: DiarizationTurn[];
  /**
   * With `diarize` or `channelSpeakers`: in the order of their first words.
   */
  speakers?: string[];
  speakerEmbeddings?: {
    [k: string]: number[];
  };
  /**
   * With `formats` and `outputDir`: what was written.
   */
  files?: ExportedFile[];
  /**
   * With `formats` and without `outputDir`: the texts.
   */
  contents?: {
    [k: string]: string;
  };
}
/**
 * A segment; `id` counts from 0 and is the same in partial and final results.
 *
 * The measures of decoding are null where the engine does not give them.
 */
export interface TranscriptionSegment {
  id: number;
  start: number;
  end: number;
  text: string;
  avgLogprob: number | null;
  compressionRatio: number | null;
  noSpeechProb: number | null;
  temperature: number | null;
  speaker?: string;
  words: AlignmentWord[] | null;
}
/**
 * A word with the space before it: the words of a segment join to its text.
 *
 * `probability` is the decoder's, or the mean over the word's frames where it was aligned.
 */
export interface AlignmentWord {
  start: number;
  end: number;
  word: string;
  probability: number | null;
  /**
   * True for a word that could not be aligned, such as a number: its times are estimates.
   */
  interpolated?: boolean;
  speaker?: string;
  characters?: Character[];
}
/**
 * A character of a word; without times where it cannot be aligned.
 */
export interface Character {
  char: string;
  start: number | null;
  end: number | null;
  score: number | null;
}
/**
 * Something that the caller should know but that was no failure.
 *
 * Of kind `stage_failed`, `error` is what the stage would have answered: code, message and data.
 */
export interface Notice {
  kind: string;
  message: string;
  option: string | null;
  error?: {
    [k: string]: unknown;
  };
}
/**
 * Seconds of wall time from each stage's begin to its end.
 *
 * `load` is near 0 for models already in memory. `stages` says when each ran: those that do not need each other run side by side.
 */
export interface Timings {
  queue: number;
  load: number;
  decode: number;
  speechDetection: number;
  recognition: number;
  alignment: number;
  diarization: number;
  assignment: number;
  total: number;
  stages: {
    [k: string]: StageTime;
  };
}
/**
 * When a stage ran, in seconds since the request came in, and what it did in that time.
 */
export interface StageTime {
  begin: number;
  end: number;
  /**
   * Seconds of it in which the stage worked, and another one did not within it.
   */
  busy: number;
  /**
   * Seconds of audio that it worked on.
   */
  audio?: number;
  /**
   * Seconds of work per second of audio.
   */
  realTimeFactor?: number;
  /**
   * Seconds that it waited, by the stage that it waited for; `queue` is other requests.
   */
  waits?: {
    [k: string]: number;
  };
}
/**
 * When a speaker speaks.
 */
export interface DiarizationTurn {
  start: number;
  end: number;
  speaker: string;
}
/**
 * A file that was written; the path is absolute.
 */
export interface ExportedFile {
  format:
    "ass" | "csv" | "html" | "json" | "lrc" | "rttm" | "srt" | "textgrid" | "tsv" | "txt" | "vtt";
  path: string;
}
/**
 * Params of `align`: audio, and the transcript as segments or as one text.
 */
export interface AlignParams {
  /**
   * Branch, tag or commit of a hub model.
   */
  revision?: string | null;
  /**
   * Fetch the model when it is not cached. Within `transcribe`, null means as there.
   */
  download?: boolean | null;
  /**
   * `auto` is a CUDA device where there is one that can be used, else the CPU.
   * @default "auto"
   */
  device?: "auto" | "cpu" | "cuda" | "mps";
  /**
   * Which of several devices, from 0.
   * @default 0
   */
  deviceIndex?: number;
  /**
   * CPU threads; 0 takes as many as this process may run on, less beside other stages.
   * @default 0
   */
  threads?: number;
  /**
   * Read weights that can run code while they are read. Only for makers whom you trust.
   * @default false
   */
  allowPickle?: boolean;
  /**
   * A torchaudio bundle's name, a hub id or a directory; whisperX's choice for the language.
   */
  model?: string | null;
  /**
   * `batched`: forward passes over many segments, alignment by torchaudio. `whisperx`: the whisperx package's own, a segment at a time, for comparison.
   * @default "batched"
   */
  aligner?: "batched" | "whisperx";
  /**
   * Segments in a forward pass of the batched aligner.
   * @default 8
   */
  batchSize?: number;
  /**
   * Also give the times of characters.
   * @default false
   */
  characters?: boolean;
  /**
   * How whisperX's aligner gives times to words that it cannot align.
   * @default "nearest"
   */
  interpolation?: "linear" | "nearest";
  /**
   * Path of an audio or video file.
   */
  audio: string;
  /**
   * Take this channel alone (from 0); all are mixed without it.
   */
  channel?: number | null;
  /**
   * Seconds into the recording.
   * @default 0
   */
  start?: number;
  /**
   * Only the part between `start` and `end`; times stay those of the recording.
   */
  end?: number | null;
  /**
   * Segments without times are placed between their neighbours' or over the whole audio.
   */
  segments?: SegmentText[] | null;
  /**
   * In place of segments: one text, said somewhere in the audio.
   */
  text?: string | null;
  /**
   * Code such as `en`.
   */
  language: string;
  /**
   * Interactive requests overtake those of a batch.
   * @default "interactive"
   */
  priority?: "batch" | "interactive";
  /**
   * How long a model stays loaded when nobody uses it.
   */
  keepAlive?: number | "forever" | null;
  /**
   * Send `$/progress` notifications with this token; none are sent without it.
   */
  progressToken?: number | string | null;
  /**
   * Send parts of the result as they come, with this token.
   */
  partialResultToken?: number | string | null;
}
/**
 * A stretch of text to align, and roughly where it is said. Other members are passed over.
 */
export interface SegmentText {
  text: string;
  start?: number | null;
  end?: number | null;
  /**
   * Comes back with the aligned segment; its place in the list without it.
   */
  id?: number | null;
}
/**
 * Result of `align`: every segment that was given, in its order.
 */
export interface AlignResult {
  language: string;
  segments: AlignedSegment[];
  model: string;
  aligner: string;
  device: string;
  /**
   * Seconds of audio that was decoded.
   */
  duration: number;
  warnings: Notice[];
  timings: Timings;
}
/**
 * A segment from its first word's start to its last word's end.
 */
export interface AlignedSegment {
  id: number;
  start: number;
  end: number;
  text: string;
  words: AlignmentWord[];
}
/**
 * Params of `diarize`.
 */
export interface DiarizeParams {
  /**
   * Branch, tag or commit of a hub model.
   */
  revision?: string | null;
  /**
   * Fetch the model when it is not cached. Within `transcribe`, null means as there.
   */
  download?: boolean | null;
  /**
   * `auto` is a CUDA device where there is one that can be used, else the CPU.
   * @default "auto"
   */
  device?: "auto" | "cpu" | "cuda" | "mps";
  /**
   * Which of several devices, from 0.
   * @default 0
   */
  deviceIndex?: number;
  /**
   * CPU threads; 0 takes as many as this process may run on, less beside other stages.
   * @default 0
   */
  threads?: number;
  /**
   * Read weights that can run code while they are read. Only for makers whom you trust.
   * @default false
   */
  allowPickle?: boolean;
  /**
   * A pyannote pipeline: a hub id or a directory.
   * @default "pyannote/speaker-diarization-community-1"
   */
  model?: string;
  /**
   * Exactly so many.
   */
  numSpeakers?: number | null;
  /**
   * At least so many.
   */
  minSpeakers?: number | null;
  /**
   * At most so many.
   */
  maxSpeakers?: number | null;
  /**
   * Windows in a forward pass; the pipeline's own choice without it.
   */
  batchSize?: number | null;
  /**
   * Also give a vector that stands for each speaker's voice.
   * @default false
   */
  embeddings?: boolean;
  /**
   * Path of an audio or video file.
   */
  audio: string;
  /**
   * Take this channel alone (from 0); all are mixed without it.
   */
  channel?: number | null;
  /**
   * Seconds into the recording.
   * @default 0
   */
  start?: number;
  /**
   * Only the part between `start` and `end`; times stay those of the recording.
   */
  end?: number | null;
  /**
   * Interactive requests overtake those of a batch.
   * @default "interactive"
   */
  priority?: "batch" | "interactive";
  /**
   * How long a model stays loaded when nobody uses it.
   */
  keepAlive?: number | "forever" | null;
  /**
   * Send `$/progress` notifications with this token; none are sent without it.
   */
  progressToken?: number | string | null;
  /**
   * Send parts of the result as they come, with this token.
   */
  partialResultToken?: number | string | null;
}
/**
 * Result of `diarize`. Nobody speaking gives no turns and no speakers.
 */
export interface DiarizeResult {
  /**
   * Turns of different speakers overlap where they speak at the same time.
   */
  turns: DiarizationTurn[];
  /**
   * The same without overlap: one speaker at a time, for putting names to words.
   */
  exclusiveTurns: DiarizationTurn[];
  /**
   * In the order of their first turn.
   */
  speakers: string[];
  embeddings?: {
    [k: string]: number[];
  };
  model: string;
  device: string;
  /**
   * Seconds of audio that was decoded.
   */
  duration: number;
  warnings: Notice[];
  timings: Timings;
}
/**
 * Params of `export`. Without `outputDir` the texts are in the result, and no file is made.
 */
export interface ExportParams {
  /**
   * Send `$/progress` notifications with this token; none are sent without it.
   */
  progressToken?: number | string | null;
  /**
   * Send parts of the result as they come, with this token.
   */
  partialResultToken?: number | string | null;
  /**
   * What `transcribe` returned, or whisperX's JSON.
   */
  transcript: Transcript;
  /**
   * Each gives a file or a text.
   *
   * @minItems 1
   */
  formats: (
    "ass" | "csv" | "html" | "json" | "lrc" | "rttm" | "srt" | "textgrid" | "tsv" | "txt" | "vtt"
  )[];
  /**
   * Path of a directory, which is made when it is not there. Files are `name.format`.
   */
  outputDir?: string | null;
  /**
   * Of the files, without suffix, and of the recording in rttm.
   * @default "transcript"
   */
  name?: string;
  /**
   * Replace files that are there; they are an error otherwise.
   * @default true
   */
  overwrite?: boolean;
  /**
   * How captions look.
   */
  options?: ExportOptions;
}
/**
 * What was said, and by whom when `speaker` or `turns` are there.
 */
export interface Transcript {
  segments: TranscriptSegment[];
  language?: string | null;
  turns?: TranscriptTurn[] | null;
}
/**
 * A stretch of text, in the order of the recording.
 */
export interface TranscriptSegment {
  text: string;
  /**
   * Seconds; SubRip cannot write 100 hours. A negative time is mended, not refused.
   */
  start?: number | null;
  /**
   * Seconds; SubRip cannot write 100 hours. A negative time is mended, not refused.
   */
  end?: number | null;
  words?: TranscriptWord[] | null;
  speaker?: string | null;
}
/**
 * A word; without times where alignment found none. `score` is whisperX's `probability`.
 */
export interface TranscriptWord {
  word: string;
  /**
   * Seconds; SubRip cannot write 100 hours. A negative time is mended, not refused.
   */
  start?: number | null;
  /**
   * Seconds; SubRip cannot write 100 hours. A negative time is mended, not refused.
   */
  end?: number | null;
  probability?: number | null;
  score?: number | null;
  speaker?: string | null;
}
/**
 * When a speaker spoke; turns of different speakers may overlap.
 */
export interface TranscriptTurn {
  /**
   * Seconds; SubRip cannot write 100 hours. A negative time is mended, not refused.
   */
  start: number;
  /**
   * Seconds; SubRip cannot write 100 hours. A negative time is mended, not refused.
   */
  end: number;
  speaker: string;
}
/**
 * Result of `export`: `files` with `outputDir`, else `contents` by format.
 */
export interface ExportResult {
  files?: ExportedFile[];
  contents?: {
    [k: string]: string;
  };
  warnings: Notice[];
}
/**
 * Params of `models/list`.
 */
export interface ListModelsParams {
  /**
   * Send `$/progress` notifications with this token; none are sent without it.
   */
  progressToken?: number | string | null;
  /**
   * Send parts of the result as they come, with this token.
   */
  partialResultToken?: number | string | null;
  /**
   * Only models for it.
   */
  task?: ("alignment" | "diarization" | "recognition") | null;
  /**
   * Leave out what is known but neither cached nor loaded.
   * @default false
   */
  cachedOnly?: boolean;
}
/**
 * Result of `models/list`.
 */
export interface ListModelsResult {
  models: ModelRow[];
  /**
   * Processes that decode audio, or ask the hub; they end when they are not needed.
   */
  helpers: LoadedModel[];
  cacheDirectory: string;
  freeDisk: number;
  memory: MemoryInfo;
}
/**
 * A model: known, cached, loaded, or several of these.
 */
export interface ModelRow {
  /**
   * Null for what lies in the cache under a name that we do not know.
   */
  task: string | null;
  name: string;
  /**
   * Null for a directory.
   */
  repository: string | null;
  /**
   * Empty for one that does not care, or that we do not know.
   */
  languages: string[];
  /**
   * Of what is cached; else of the published weights, rounded.
   */
  sizeOnDisk: number | null;
  /**
   * Measured when it was loaded last; else what is expected on a CPU.
   */
  sizeInMemory: number | null;
  licence: string | null;
  gated: boolean | null;
  cached: boolean;
  /**
   * Bytes of files whose download was broken off; a later one goes on there.
   */
  incomplete: number;
  /**
   * Commits in the cache.
   */
  revisions: string[];
  loaded: LoadedModel[];
}
/**
 * A model in the memory of an engine process of its own.
 */
export interface LoadedModel {
  /**
   * For a helper, `audio` or `hub`.
   */
  task: string;
  model: string;
  engine: string;
  /**
   * Null while it is being loaded.
   */
  device: string | null;
  computeType: string | null;
  state: "busy" | "idle" | "loading";
  processId: number | null;
  /**
   * That use it or wait for it.
   */
  jobs: number;
  idleSince: string | null;
  /**
   * When it will be unloaded if nobody asks for it; null while it is busy, or for ever.
   */
  expiresAt: string | null;
  /**
   * Resident memory of its process.
   */
  memory: number | null;
  /**
   * Memory of a CUDA device that its process holds.
   */
  deviceMemory: number | null;
  /**
   * How often it was loaded.
   */
  loads: number;
}
/**
 * Memory of the machine, or of the container that limits it, and of the worker.
 */
export interface MemoryInfo {
  total: number;
  available: number;
  /**
   * By the worker and its engines.
   */
  used: number;
  budget: number | null;
}
/**
 * Params of `models/download`. What is cached is verified, and mended where it is damaged.
 */
export interface DownloadModelParams {
  /**
   * Send `$/progress` notifications with this token; none are sent without it.
   */
  progressToken?: number | string | null;
  /**
   * Send parts of the result as they come, with this token.
   */
  partialResultToken?: number | string | null;
  /**
   * What the model is for.
   * @default "recognition"
   */
  task?: "alignment" | "diarization" | "recognition";
  /**
   * A known name, a hub id (`owner/name`) or, where it makes sense, a directory.
   */
  model?: string | null;
  /**
   * Of an alignment model that is not named: the usual one of this language.
   */
  language?: string | null;
  /**
   * Branch, tag or commit of a hub model.
   */
  revision?: string | null;
}
/**
 * Result of `models/download`.
 */
export interface DownloadModelResult {
  model: string;
  repository: string;
  /**
   * The commit.
   */
  revision: string | null;
  path: string;
  files: number;
  bytes: number;
  /**
   * How many of those bytes came over the network this time.
   */
  downloaded: number;
  /**
   * Files that were damaged and were fetched again.
   */
  mended: string[];
  licence: string | null;
  warnings: Notice[];
}
/**
 * Params of `models/load`. What fits the task counts; other options are refused.
 *
 * The loaded model serves requests that give the same `model`, `revision`, `device`, `deviceIndex`, and for recognition `engine`, `computeType` and `threads`.
 */
export interface LoadModelParams {
  /**
   * Send `$/progress` notifications with this token; none are sent without it.
   */
  progressToken?: number | string | null;
  /**
   * Send parts of the result as they come, with this token.
   */
  partialResultToken?: number | string | null;
  /**
   * What the model is for.
   * @default "recognition"
   */
  task?: "alignment" | "diarization" | "recognition";
  /**
   * A known name, a hub id (`owner/name`) or, where it makes sense, a directory.
   */
  model?: string | null;
  /**
   * Of an alignment model that is not named: the usual one of this language.
   */
  language?: string | null;
  /**
   * Branch, tag or commit of a hub model.
   */
  revision?: string | null;
  /**
   * Fetch the model when it is not cached.
   * @default false
   */
  download?: boolean;
  /**
   * `auto` is a CUDA device where there is one that can be used, else the CPU.
   * @default "auto"
   */
  device?: "auto" | "cpu" | "cuda" | "mps";
  /**
   * Which of several devices, from 0.
   * @default 0
   */
  deviceIndex?: number;
  /**
   * Of a recognition model; faster-whisper without it.
   */
  engine?: ("faster-whisper" | "whisperx") | null;
  /**
   * Of a recognition model; `auto` without it.
   */
  computeType?:
    | (
        | "auto"
        | "bfloat16"
        | "default"
        | "float16"
        | "float32"
        | "int16"
        | "int8"
        | "int8_bfloat16"
        | "int8_float16"
        | "int8_float32"
      )
    | null;
  /**
   * CPU threads; 0 takes as many as this process may run on.
   * @default 0
   */
  threads?: number;
  /**
   * Read weights that can run code while they are read. Only for makers whom you trust.
   * @default false
   */
  allowPickle?: boolean;
  /**
   * How long a model stays loaded when nobody uses it.
   */
  keepAlive?: number | "forever" | null;
}
/**
 * Result of `models/load`.
 */
export interface LoadModelResult {
  model: LoadedModel;
  loadSeconds: number;
  warnings: Notice[];
}
/**
 * Params of `models/unload`; without a task and a model, all models are meant.
 */
export interface UnloadModelParams {
  /**
   * Send `$/progress` notifications with this token; none are sent without it.
   */
  progressToken?: number | string | null;
  /**
   * Send parts of the result as they come, with this token.
   */
  partialResultToken?: number | string | null;
  /**
   * Only models for it.
   */
  task?: ("alignment" | "diarization" | "recognition") | null;
  /**
   * Only this one: its name, hub id or directory.
   */
  model?: string | null;
  /**
   * What to do about one that is in use: fail (and unload none), wait, or leave it.
   * @default "refuse"
   */
  whenBusy?: "refuse" | "skip" | "wait";
}
/**
 * Result of `models/unload`: what was unloaded, as it was just before.
 */
export interface UnloadModelResult {
  unloaded: LoadedModel[];
  /**
   * Resident memory of the processes that were ended, idle helpers among them.
   */
  freedMemory: number;
}
/**
 * Params of `models/remove`: every revision goes, unless one is named.
 */
export interface RemoveModelParams {
  /**
   * Send `$/progress` notifications with this token; none are sent without it.
   */
  progressToken?: number | string | null;
  /**
   * Send parts of the result as they come, with this token.
   */
  partialResultToken?: number | string | null;
  /**
   * What the model is for.
   * @default "recognition"
   */
  task?: "alignment" | "diarization" | "recognition";
  /**
   * A known name, a hub id (`owner/name`) or, where it makes sense, a directory.
   */
  model?: string | null;
  /**
   * Of an alignment model that is not named: the usual one of this language.
   */
  language?: string | null;
  /**
   * Branch, tag or commit of a hub model.
   */
  revision?: string | null;
}
/**
 * Result of `models/remove`.
 */
export interface RemoveModelResult {
  repository: string;
  freed: number;
}
/**
 * Params of `environment/probe`.
 */
export interface ProbeParams {
  /**
   * Send `$/progress` notifications with this token; none are sent without it.
   */
  progressToken?: number | string | null;
  /**
   * Send parts of the result as they come, with this token.
   */
  partialResultToken?: number | string | null;
  /**
   * Also ask the hub whether it can be reached and takes the token; else nothing is sent.
   * @default false
   */
  online?: boolean;
  /**
   * Seconds after which a package that hangs is given up.
   * @default 120
   */
  timeout?: number;
}
/**
 * Result of `environment/probe`. Secrets are left out of all of it.
 */
export interface ProbeResult {
  workerVersion: string;
  /**
   * Whether alignment, diarization and whisperx, which need torch, are meant to be there.
   */
  flavour: "full" | "lite";
  healthMetrics: HealthMetrics;
  /**
   * `worker`, `fasterWhisper`, `whisperx`, `alignment` and `pyannote`.
   */
  environments: {
    [k: string]: EnvironmentInfo;
  };
  /**
   * Errors first.
   */
  findings: Finding[];
  devices: Devices;
  platform: PlatformInfo;
  cache: CacheInfo;
  temporary: Storage;
  hub: HubInfo;
  environmentVariables: {
    [k: string]: string;
  };
}
/**
 * `overallScore` is 100 when there is neither an error nor a warning, and 0 at the worst.
 */
export interface HealthMetrics {
  overallScore: number;
  errors: number;
  warnings: number;
  /**
   * That the probe took.
   */
  seconds: number;
}
/**
 * The packages that one thing which the worker does rests on.
 */
export interface EnvironmentInfo {
  /**
   * `missing` is no fault: the flavour has not got it.
   */
  status: "degraded" | "failed" | "missing" | "ready";
  packages: PackageInfo[];
  errors: string[];
}
/**
 * A package, tried in a process of its own.
 */
export interface PackageInfo {
  name: string;
  /**
   * It can be imported and, where that was tried, does its work.
   */
  available: boolean;
  state: "absent" | "crashed" | "import_failed" | "ok" | "timed_out" | "use_failed";
  /**
   * Without it something that this flavour is meant to do fails.
   */
  required: boolean;
  version: string | null;
  location: string | null;
  importSeconds: number | null;
  error: string | null;
}
/**
 * Something that is not as it should be, and what to do about it.
 */
export interface Finding {
  /**
   * What kind of finding it is: stable, to program against.
   */
  id: string;
  /**
   * An error keeps something from working, a warning makes it worse; an info asks for nothing.
   */
  severity: "error" | "info" | "warning";
  message: string;
  remedy: string;
  package: string | null;
  /**
   * The error with its causes, or the end of what the process wrote on stderr.
   */
  detail: string | null;
}
/**
 * What there is to compute on.
 */
export interface Devices {
  cpu: Cpu;
  memory: SystemMemory;
  accelerators: Accelerator[];
}
/**
 * The processor.
 */
export interface Cpu {
  model: string | null;
  architecture: string;
  /**
   * Instruction sets, by numpy's names for them; empty where it could not be asked.
   */
  features: string[];
  cores: number | null;
  threads: number | null;
  /**
   * That this process may run on.
   */
  usableThreads: number;
  /**
   * That recognition can use.
   */
  computeTypes: string[];
}
/**
 * Memory of the machine, and the limit of the container that the worker runs in.
 */
export interface SystemMemory {
  total: number | null;
  available: number | null;
  limit: number | null;
}
/**
 * A graphics processor.
 */
export interface Accelerator {
  kind: "cuda" | "mps" | "rocm";
  index: number;
  name: string | null;
  memoryTotal: number | null;
  memoryFree: number | null;
  driver: string | null;
  computeCapability: string | null;
  /**
   * Recognition runs on ctranslate2; alignment, diarization and whisperx's VAD on torch.
   */
  usableBy: ("ctranslate2" | "torch")[];
  /**
   * That recognition can use there.
   */
  computeTypes: string[];
}
/**
 * The program, its Python and the system.
 */
export interface PlatformInfo {
  frozen: boolean;
  /**
   * `sys._MEIPASS` of a frozen program.
   */
  bundleDirectory: string | null;
  executable: string;
  sysPath: string[];
  python: string;
  system: string;
  release: string;
  architecture: string;
  bits: number;
  libc: string | null;
  encoding: string;
  filesystemEncoding: string;
  locale: string | null;
  /**
   * Of the variable PATH.
   */
  pathEntries: number;
}
/**
 * The hub's cache.
 */
export interface CacheInfo {
  directory: string;
  writable: boolean;
  freeDisk: number | null;
  /**
   * The variable that set it, or `default`.
   */
  source: string;
  exists: boolean;
  size: number;
  models: CachedRepository[];
}
/**
 * A model in the cache.
 */
export interface CachedRepository {
  repository: string;
  size: number;
  /**
   * Bytes of files whose download was broken off.
   */
  incomplete: number;
  revisions: string[];
}
/**
 * A directory that the worker writes to.
 */
export interface Storage {
  directory: string;
  writable: boolean;
  freeDisk: number | null;
}
/**
 * The hub that models come from. What was not asked is null.
 */
export interface HubInfo {
  endpoint: string;
  /**
   * HF_HUB_OFFLINE is set.
   */
  offline: boolean;
  tokenSource: ("environment" | "initialize" | "login") | null;
  reachable: boolean | null;
  /**
   * Until its answer.
   */
  seconds: number | null;
  tokenValid: boolean | null;
  user: string | null;
}
/**
 * Params of `environment/devices`.
 */
export interface DevicesParams {
  /**
   * Send `$/progress` notifications with this token; none are sent without it.
   */
  progressToken?: number | string | null;
  /**
   * Send parts of the result as they come, with this token.
   */
  partialResultToken?: number | string | null;
  /**
   * Seconds after which a library that hangs is given up.
   * @default 60
   */
  timeout?: number;
}
/**
 * Result of `environment/devices`.
 */
export interface DevicesResult {
  cpu: Cpu;
  memory: SystemMemory;
  accelerators: Accelerator[];
  findings: Finding[];
}
/**
 * Params of `hub/whoami`.
 */
export interface WhoAmIParams {
  /**
   * Send `$/progress` notifications with this token; none are sent without it.
   */
  progressToken?: number | string | null;
  /**
   * Send parts of the result as they come, with this token.
   */
  partialResultToken?: number | string | null;
}
/**
 * Result of `hub/whoami`: whose token the worker would use, and where it comes from.
 */
export interface WhoAmIResult {
  name: string;
  source: "environment" | "initialize" | "login";
  endpoint: string;
}
/**
 * The params of each notification of the worker.
 */
export interface Notifications {
  /**
   * How far a request is, or parts of its result, to who gave a token for them.
   */
  "$/progress": {
    /**
     * The request's `progressToken` or `partialResultToken`.
     */
    token: number | string;
    value: ProgressBegin | ProgressReport | ProgressEnd | PartialTranscript | PartialAlignment;
  };
  /**
   * A line of the worker's log, to who asked for its level in initialize.
   */
  "$/logMessage": {
    level: "debug" | "error" | "info" | "warning";
    logger: string;
    message: string;
    time: string;
  };
}
/**
 * The request was taken up.
 */
export interface ProgressBegin {
  kind: "begin";
  title: string;
}
/**
 * How far the request is. Seconds are of audio; `percentage` (0-100) never goes back.
 *
 * Bytes and files are of the model that is being downloaded, which `message` names.
 *
 * `percentage` is of the whole request. Where several stages run side by side, `stages` has the percentage of each one that has begun.
 */
export interface ProgressReport {
  kind: "report";
  stage:
    | "alignment"
    | "assignment"
    | "decode"
    | "diarization"
    | "download"
    | "load"
    | "probe"
    | "queue"
    | "recognition"
    | "speechDetection";
  percentage?: number | null;
  audioDone?: number | null;
  audioTotal?: number | null;
  bytesDone?: number | null;
  bytesTotal?: number | null;
  filesDone?: number | null;
  filesTotal?: number | null;
  message?: string | null;
  stages?: {
    [k: string]: number;
  } | null;
}
/**
 * The request is over, however it ended; the reply says how.
 */
export interface ProgressEnd {
  kind: "end";
}
/**
 * Value of a partial result: the segments that are new.
 */
export interface PartialTranscript {
  language: string;
  segments: TranscriptionSegment[];
}
/**
 * Value of a partial result: the segments that are new.
 */
export interface PartialAlignment {
  segments: AlignedSegment[];
}
