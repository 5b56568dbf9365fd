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
  | "audio_no_track"
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
  | "voice_too_short"
  | "voice_invalid"
  | "live_stream_exists"
  | "live_stream_unknown"
  | "live_stream_finished"
  | "live_overrun"
  | "storage_failed"
  | "export_failed"
  | "export_exists";
/**
 * Who cancelled: the `client`, with `$/cancelRequest`; a `signal` to the worker, SIGTERM or SIGINT; the worker's `shutdown`, for example by `exit`; or a failed `stage` of the same job. Clients never receive `stage`: they receive that stage's error.
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
   * Agree on limits, logs and a process to watch.
   */
  initialize: {
    params: InitializeParams;
    result: InitializeResult;
  };
  /**
   * Answer {} at once, even while the engines work.
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
   * Accept no new requests; finish open jobs.
   */
  shutdown: {
    params: NoParams;
    result: null;
  };
  /**
   * Transcribe a recording; stream segments.
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
   * Make a voice known by its name.
   */
  "speakers/enroll": {
    params: EnrollParams;
    result: EnrollResult;
  };
  /**
   * Find the speech in a recording.
   */
  detectSpeech: {
    params: DetectSpeechParams;
    result: DetectSpeechResult;
  };
  /**
   * Find which language is spoken.
   */
  detectLanguage: {
    params: DetectLanguageParams;
    result: DetectLanguageResult;
  };
  /**
   * Open a stream: transcribe while it comes.
   */
  "live/transcribe": {
    params: LiveTranscribeParams;
    result: LiveTranscribeResult;
  };
  /**
   * Send a stream its next audio.
   */
  "live/append": {
    params: LiveAppendParams;
    result: LiveAppendResult;
  };
  /**
   * End the utterance that goes on in a stream.
   */
  "live/commit": {
    params: LiveStreamParams;
    result: LiveStreamResult;
  };
  /**
   * End the input of a stream.
   */
  "live/finish": {
    params: LiveStreamParams;
    result: LiveStreamResult;
  };
  /**
   * Write a transcript as subtitles, tables and more.
   */
  export: {
    params: ExportParams;
    result: ExportResult;
  };
  /**
   * List known, cached and loaded models.
   */
  "models/list": {
    params: ListModelsParams;
    result: ListModelsResult;
  };
  /**
   * Download and verify a model.
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
   * Free the memory of one model, or of all.
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
   * Check this machine and suggest remedies.
   */
  "environment/probe": {
    params: ProbeParams;
    result: ProbeResult;
  };
  /**
   * List compute devices.
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
 * All of them are optional.
 */
export interface InitializeParams {
  /**
   * The worker ends when this process does.
   */
  processId?: number | null;
  clientInfo?: ClientInfo | null;
  /**
   * Send `$/logMessage` notifications of this level and above; without it, none are sent.
   */
  logLevel?: ("debug" | "error" | "info" | "warning") | null;
  /**
   * The worker skips longer lines and answers line_too_long. The default is 64 MiB; the option `serve --max-line` is the upper limit. The result has the value in use.
   */
  maxLineBytes?: number | null;
  /**
   * Token for gated models; without it, the worker uses HF_TOKEN or the hub's stored login.
   */
  hfToken?: string | null;
}
/**
 * Name and version of the client, for the log.
 */
export interface ClientInfo {
  name: string;
  version?: string | null;
}
/**
 * Result of `initialize`; `processId` is the worker's.
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
 * Methods, notifications and engines of this worker.
 */
export interface Capabilities {
  methods: string[];
  notifications: string[];
  engines: {
    [k: string]: EngineInfo;
  };
}
/**
 * Whether an engine's packages are installed, and which are missing or damaged.
 *
 * The worker does not import them for this; `environment/probe` does.
 */
export interface EngineInfo {
  available: boolean;
  missing: string[];
}
/**
 * The worker refuses what exceeds these.
 */
export interface Limits {
  maxLineBytes: number;
  maxBatchMembers: number;
  /**
   * Work requests that wait or run; the error beyond is busy.
   */
  maxOpenJobs: number;
  /**
   * Total bytes of their params; a single request may exceed this.
   */
  maxOpenBytes: number;
  /**
   * Seconds of a recording; the error beyond is audio_too_long.
   */
  maxAudioDuration: number;
  /**
   * Bytes of a recording's file; the error beyond is audio_too_large.
   */
  maxAudioBytes: number;
  maxLoadedModels: number;
  /**
   * Bytes of resident memory for the worker and its engines; null: whatever the machine has.
   */
  memoryBudget: number | null;
  /**
   * Seconds without input and open jobs after which the worker ends with exit code 0; null: never.
   */
  idleExit: number | null;
}
/**
 * For methods without params; absent, `{}` and `[]` mean the same.
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
   * The most open jobs; the worker refuses further ones as busy.
   */
  limit: number;
}
/**
 * A work request that waits or runs.
 *
 * `stage` and `percentage` come from the last report; only requests with a `progressToken` have reports.
 */
export interface JobInfo {
  /**
   * As the client wrote it; null if the request came as a notification.
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
   * Seconds since the worker accepted the request.
   */
  seconds: number;
  stage?: string;
  percentage?: number;
}
/**
 * Params of `transcribe`. Only `audio` is required.
 *
 * Decoding options are faster-whisper's, with its defaults unless they say otherwise; the result's `warnings` list those that the chosen engine or mode ignores.
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
   * Download the model from the hub if it is not cached. Without it, nothing is downloaded.
   * @default false
   */
  download?: boolean;
  /**
   * `auto` chooses a usable CUDA device, or else the CPU.
   * @default "auto"
   */
  device?: "auto" | "cpu" | "cuda";
  /**
   * Index of the device, from 0.
   * @default 0
   */
  deviceIndex?: number;
  /**
   * The number type in which CTranslate2 stores and multiplies weights. `auto` is float16 on a CUDA device and int8 on a CPU; `default` is the type that the model is stored in, or float32 if the device does not support that type.
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
   * CPU threads of the model; 0 uses every CPU that this process may use.
   * @default 0
   */
  threads?: number;
  /**
   * Path of an audio or video file.
   */
  audio: string;
  /**
   * Use only this channel (from 0); without it, all channels are mixed.
   */
  channel?: number | null;
  /**
   * Which audio track, if there are several: its index (from 0), or a language tag such as `en`. Null means the one marked as default, or else the one with the most channels.
   */
  track?: number | string | null;
  /**
   * Seconds into the recording.
   * @default 0
   */
  start?: number;
  /**
   * Use only the part from `start` to `end`; returned times still refer to the recording.
   */
  end?: number | null;
  /**
   * If the recording is damaged: use what is good of it with a warning, or fail the request.
   * @default "warn"
   */
  onDamage?: "fail" | "warn";
  /**
   * `whisper` is the worker's own recogniser. The others return what the packages of that name do for the same model, audio and options, their faults included: text in silence, lost speech, one language for all.
   * @default "whisper"
   */
  engine?: "faster-whisper" | "whisper" | "whisperx";
  /**
   * Decode this many windows at a time. Null means 8 with `whisper`; 1 decodes one window after another there, each prompted by the one before. With `faster-whisper`, null decodes one window after another, and a window that misses a threshold is decoded again in both modes.
   */
  batchSize?: number | null;
  /**
   * Time the words exactly, with an alignment model.
   * @default false
   */
  align?: boolean | AlignmentOptions;
  /**
   * Separate the speakers, and assign one to each word and segment.
   * @default false
   */
  diarize?: boolean | SpeakerOptions;
  /**
   * Treat each channel as one speaker, with the names in the list, or CHANNEL_00 …
   * @default false
   */
  channelSpeakers?: boolean | string[];
  /**
   * If alignment or diarization fails: return the rest with a warning, or fail the request.
   * @default "warn"
   */
  onStageError?: "fail" | "warn";
  /**
   * Path of a folder that keeps intermediate results: if the request is interrupted, the same request with the same folder continues from them. Created if it does not exist; the client deletes it.
   */
  checkpoint?: string | null;
  /**
   * Also export the transcript in these formats: to `outputDir`, or else in the result.
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
   * Path of the folder for the files; created if it does not exist.
   */
  outputDir?: string | null;
  /**
   * Name of those files, without suffix; defaults to the recording's.
   */
  name?: string | null;
  /**
   * Replace existing files; if false, an existing file is an error.
   * @default true
   */
  overwrite?: boolean;
  /**
   * How captions look.
   */
  formatOptions?: ExportOptions;
  /**
   * Code such as `en`; without it, the language is detected.
   */
  language?: string | null;
  /**
   * `translate` translates into English.
   * @default "transcribe"
   */
  task?: "transcribe" | "translate";
  /**
   * Hypotheses that beam search keeps at temperature 0.
   * @default 5
   */
  beamSize?: number;
  /**
   * Samples to choose from at other temperatures.
   * @default 5
   */
  bestOf?: number;
  /**
   * Factor on how long beam search continues.
   * @default 1
   */
  patience?: number;
  /**
   * Values above 1 prefer longer hypotheses.
   * @default 1
   */
  lengthPenalty?: number;
  /**
   * Values above 1 make tokens less likely to repeat.
   * @default 1
   */
  repetitionPenalty?: number;
  /**
   * Forbid repeating a sequence of this many tokens; 0 allows repetition.
   * @default 0
   */
  noRepeatNgramSize?: number;
  /**
   * One temperature, or several to try in turn while a window misses a threshold. Sampling is seeded: the same request returns the same words.
   */
  temperature?: number | number[];
  /**
   * Text that compresses better than this is repetitive; its window is decoded again.
   * @default 2.4
   */
  compressionRatioThreshold?: number | null;
  /**
   * A window whose mean log probability is below this is decoded again.
   * @default -1
   */
  logProbThreshold?: number | null;
  /**
   * A window above this no-speech probability and below `logProbThreshold` is silence.
   * @default 0.6
   */
  noSpeechThreshold?: number | null;
  /**
   * Prompt each window with the text so far.
   * @default true
   */
  conditionOnPreviousText?: boolean;
  /**
   * Clear that prompt after a window decoded above this temperature.
   * @default 0.5
   */
  promptResetOnTemperature?: number;
  /**
   * Text or tokens that prompt the first window. All prompts together have room for 223 tokens, less where `maxNewTokens` is above 220. This text and `prefix` have to fit.
   */
  initialPrompt?: string | number[] | null;
  /**
   * Text that the first window begins with.
   */
  prefix?: string | null;
  /**
   * Words that the recording is likely to contain. Those that do not fit beside `initialPrompt` are left out, with the warning `prompt_shortened`. The text before a window gives way to them.
   */
  hotwords?: string | null;
  /**
   * Forbid a blank at the start of a window.
   * @default true
   */
  suppressBlank?: boolean;
  /**
   * Token ids that are never decoded; -1 stands for the usual non-speech symbols.
   */
  suppressTokens?: number[] | null;
  /**
   * Decode only text tokens. Null means true with `whisper`, which times words by attention, and false with the others.
   */
  withoutTimestamps?: boolean | null;
  /**
   * Latest first timestamp of a window.
   * @default 1
   */
  maxInitialTimestamp?: number;
  /**
   * Time each word from the decoder's attention. Unless it is given, true with `diarize` and without `align`, because speakers change between words.
   * @default false
   */
  wordTimestamps?: boolean;
  /**
   * Punctuation that joins the word after it.
   * @default "\"'“¿([{-"
   */
  prependPunctuations?: string;
  /**
   * Punctuation that joins the word before it.
   * @default "\"'.。,，!！?？:：”)]}、"
   */
  appendPunctuations?: string;
  /**
   * Detect the language of each window. Null means true with `whisper`, unless `language` is given, and false with the others; with `whisper`, false means the language that is spoken most.
   */
  multilingual?: boolean | null;
  /**
   * Skip what Silero VAD classifies as silence. Null means true with `whisper`, in batched mode and with `channelSpeakers`, otherwise false.
   */
  vadFilter?: boolean | null;
  /**
   * How to detect speech.
   */
  vadParameters?: VadParameters | null;
  /**
   * Maximum number of tokens per window. It shares the decoder's 448 with the prompts.
   */
  maxNewTokens?: number | null;
  /**
   * Length of a window in seconds.
   */
  chunkLength?: number | null;
  /**
   * Decode only these parts: start, end, start, end … The last end may be omitted.
   */
  clipTimestamps?: number[] | null;
  /**
   * With word times, skip silences longer than this if their text looks hallucinated.
   */
  hallucinationSilenceThreshold?: number | null;
  /**
   * Accept a detected language once its probability is above this.
   * @default 0.5
   */
  languageDetectionThreshold?: number | null;
  /**
   * Maximum number of windows in which to detect the language.
   * @default 1
   */
  languageDetectionSegments?: number;
  /**
   * Interactive requests overtake batch requests.
   * @default "interactive"
   */
  priority?: "batch" | "interactive";
  /**
   * How long the models stay loaded afterwards, in seconds; the worker's default when null.
   */
  keepAlive?: number | "forever" | null;
  /**
   * Report progress in `$/progress` notifications with this token; without it, none are sent.
   */
  progressToken?: number | string | null;
  /**
   * Send partial results, as they become available, with this token.
   */
  partialResultToken?: number | string | null;
}
/**
 * How to align. The model is a wav2vec2 CTC model with the letters of the language.
 */
export interface AlignmentOptions {
  /**
   * Branch, tag or commit of a hub model.
   */
  revision?: string | null;
  /**
   * Download the model if it is not cached. Within `transcribe`, null follows its `download`.
   */
  download?: boolean | null;
  /**
   * `auto` chooses a usable CUDA device, or else the CPU.
   * @default "auto"
   */
  device?: "auto" | "cpu" | "cuda" | "mps";
  /**
   * Index of the device, from 0.
   * @default 0
   */
  deviceIndex?: number;
  /**
   * CPU threads; 0 uses every CPU that this process may use, fewer while other stages run.
   * @default 0
   */
  threads?: number;
  /**
   * Load pickled weights, which can run code when loaded. Only for authors whom you trust.
   * @default false
   */
  allowPickle?: boolean;
  /**
   * A torchaudio bundle, a hub id or a directory; defaults to whisperX's for the language.
   */
  model?: string | null;
  /**
   * `batched` runs many segments per forward pass and aligns with torchaudio. `whisperx` is the whisperx package's aligner, one segment at a time, for comparison.
   * @default "batched"
   */
  aligner?: "batched" | "whisperx";
  /**
   * Segments per forward pass of the batched aligner.
   * @default 8
   */
  batchSize?: number;
  /**
   * Also return the times of characters.
   * @default false
   */
  characters?: boolean;
  /**
   * How whisperX's aligner estimates times for words that it cannot align.
   * @default "nearest"
   */
  interpolation?: "linear" | "nearest";
}
/**
 * Diarization within `transcribe`, which assigns a speaker to each word and segment.
 */
export interface SpeakerOptions {
  /**
   * Branch, tag or commit of a hub model.
   */
  revision?: string | null;
  /**
   * Download the model if it is not cached. Within `transcribe`, null follows its `download`.
   */
  download?: boolean | null;
  /**
   * `auto` chooses a usable CUDA device, or else the CPU.
   * @default "auto"
   */
  device?: "auto" | "cpu" | "cuda" | "mps";
  /**
   * Index of the device, from 0.
   * @default 0
   */
  deviceIndex?: number;
  /**
   * CPU threads; 0 uses every CPU that this process may use, fewer while other stages run.
   * @default 0
   */
  threads?: number;
  /**
   * Load pickled weights, which can run code when loaded. Only for authors whom you trust.
   * @default false
   */
  allowPickle?: boolean;
  /**
   * A pyannote pipeline: a hub id or a directory.
   * @default "pyannote/speaker-diarization-community-1"
   */
  model?: string;
  /**
   * Exact number of speakers. Prefer `maxSpeakers`: pyannote divides a voice, or makes one of a noise, to reach the number.
   */
  numSpeakers?: number | null;
  /**
   * Minimum number of speakers.
   */
  minSpeakers?: number | null;
  /**
   * Maximum number of speakers.
   */
  maxSpeakers?: number | null;
  /**
   * Windows per forward pass; defaults to the pipeline's own setting.
   */
  batchSize?: number | null;
  /**
   * Also return a voice embedding, a vector, for each speaker.
   * @default false
   */
  embeddings?: boolean;
  /**
   * Paths of files that `speakers/enroll` wrote. A speaker whose voice is in one of them gets its name; others stay SPEAKER_00 …
   */
  voices?: string[];
  /**
   * Path of a folder that keeps the voices of unknown speakers: so they have the same SPEAKER_nn in all recordings that are diarized with it. Created if it does not exist; the client deletes it.
   */
  voiceFolder?: string | null;
  /**
   * How probable a match has to be. Of single turns of real meetings, with CAM++ embeddings, 0.5 recognises 27 of 28 whose speaker is enrolled, and takes 1 in 100 for a given other voice; whole recordings are easier. Embeddings of other models may need another threshold.
   * @default 0.5
   */
  voiceThreshold?: number;
  /**
   * The speaker of a word outside every turn: with `nearest`, that of the nearest turn; with `whisperx`, none, as in the whisperx package.
   * @default "nearest"
   */
  assignment?: "nearest" | "whisperx";
}
/**
 * How captions look. `warnings` lists the options that none of the formats uses.
 */
export interface ExportOptions {
  /**
   * Columns per line; an ideograph or emoji takes two. Without it, lines are not broken.
   */
  maxLineLength?: number | null;
  /**
   * Lines per cue; longer text becomes several cues. Needs `maxLineLength`.
   */
  maxLines?: number | null;
  /**
   * Longest time in seconds that a cue is shown.
   */
  maxDuration?: number | null;
  /**
   * Longest pause in seconds that a cue, or a turn in rttm, may last through; 0 allows any.
   * @default 2
   */
  maxPause?: number;
  /**
   * Write the names of the speakers, if any.
   * @default true
   */
  speakerLabels?: boolean;
  /**
   * Mark each word while it is spoken: underlined in srt and vtt, karaoke in ass and lrc.
   * @default false
   */
  highlightWords?: boolean;
  /**
   * Path of the recording, with `/`, relative to the html page's folder: the page plays that file. Without it, the page asks its reader for the recording.
   */
  audio?: string | null;
  /**
   * Path of a recording of at most 32 MiB to embed in the html page.
   */
  embedAudio?: string | null;
}
/**
 * Options of Silero VAD. Times are seconds. Null means faster-whisper's default; with the engine `whisper`, threshold 0.5, speech of 0.1, silence of 0.3, padding of 0.1.
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
 * Result of `transcribe`. For silence, `text` and `segments` are empty.
 */
export interface TranscribeResult {
  text: string;
  language: string;
  languageProbability: number;
  /**
   * Seconds of transcribed audio.
   */
  duration: number;
  durationAfterVad: number;
  segments: Segment[];
  model: string;
  engine: string;
  device: string;
  computeType: string;
  warnings: Notice[];
  timings: Timings;
  /**
   * Seconds of work per second of audio, without waiting and loading.
   */
  realTimeFactor: number;
  /**
   * With the engine `whisper`: seconds of speech in each language, the most spoken first, which is `language`.
   */
  languages?: LanguageSeconds[];
  /**
   * With the engine `whisper`: seconds of speech.
   */
  speechSeconds?: number;
  /**
   * With the engine `whisper`: seconds of speech that have no text; `warnings` lists where.
   */
  lostSeconds?: number;
  /**
   * With the engine `whisper`: where nobody speaks for a second or longer.
   */
  silences?: TimeSpan[];
  /**
   * With `diarize`: who speaks when, including overlaps.
   */
  turns?: Turn[];
  /**
   * With `diarize` or `channelSpeakers`: the speakers, in the order of their first words.
   */
  speakers?: string[];
  speakerEmbeddings?: {
    [k: string]: number[];
  };
  /**
   * With `diarize.voices`: the speakers that were recognised.
   */
  voices?: NamedSpeaker[];
  /**
   * With `formats` and `outputDir`: the written files.
   */
  files?: ExportedFile[];
  /**
   * With `formats` but without `outputDir`: the texts, by format.
   */
  contents?: {
    [k: string]: string;
  };
}
/**
 * A segment; `id` counts from 0 and is the same in partial and final results.
 *
 * Decoding measures are null if the engine does not provide them.
 */
export interface Segment {
  id: number;
  start: number;
  end: number;
  text: string;
  avgLogprob: number | null;
  compressionRatio: number | null;
  noSpeechProb: number | null;
  temperature: number | null;
  /**
   * With the engine `whisper`: the share of its words that is likely to be right, from 0 to 1.
   */
  confidence?: number;
  /**
   * With the engine `whisper`: the language of its window.
   */
  language?: string;
  speaker?: string;
  words: Word[] | null;
}
/**
 * A word with the space before it: a segment's words, joined, are its text.
 *
 * `probability` is the decoder's, or, for an aligned word, the mean over its frames.
 */
export interface Word {
  start: number;
  end: number;
  word: string;
  probability: number | null;
  /**
   * True if the word could not be aligned (a number, for example): its times are estimates.
   */
  interpolated?: boolean;
  speaker?: string;
  characters?: Character[];
}
/**
 * A character of a word; without times if it could not be aligned.
 */
export interface Character {
  char: string;
  start: number | null;
  end: number | null;
  score: number | null;
}
/**
 * Something that the caller should know although the request succeeded.
 *
 * With the kind `stage_failed`, `error` is the failed stage's error: code, message and data. The level `info` says that nothing needs to be done.
 */
export interface Notice {
  kind: string;
  message: string;
  option: string | null;
  level?: "info";
  /**
   * Which parts of the recording it is about, the first 100 of them.
   */
  spans?: TimeSpan[];
  /**
   * With the kind `several_tracks`: the recording's audio tracks.
   */
  tracks?: AudioTrack[];
  error?: {
    [k: string]: unknown;
  };
}
/**
 * A part of the recording, and the text that it is about, if any.
 */
export interface TimeSpan {
  start: number;
  end: number;
  text?: string;
}
/**
 * An audio track of a recording; `index` counts from 0, `language` is the container's tag.
 */
export interface AudioTrack {
  index: number;
  language: string | null;
  title: string | null;
  channels: number;
}
/**
 * Wall-clock seconds from each stage's begin to its end.
 *
 * `load` is near 0 for models already in memory. `stages` says when each ran: stages that do not depend on each other run in parallel.
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
 * When a stage ran, in seconds since the request arrived, and how it spent that time.
 */
export interface StageTime {
  begin: number;
  end: number;
  /**
   * Seconds of work, excluding the work of stages nested in this one.
   */
  busy: number;
  /**
   * Seconds of audio that the stage processed.
   */
  audio?: number;
  /**
   * Seconds of work per second of audio.
   */
  realTimeFactor?: number;
  /**
   * Seconds spent waiting, by the stage waited for; `queue` stands for other requests.
   */
  waits?: {
    [k: string]: number;
  };
}
/**
 * How long a language is spoken.
 */
export interface LanguageSeconds {
  language: string;
  seconds: number;
}
/**
 * One stretch of speech by one speaker.
 */
export interface Turn {
  start: number;
  end: number;
  speaker: string;
}
/**
 * A speaker whose voice is known.
 */
export interface NamedSpeaker {
  name: string;
  /**
   * What the speaker would have been called otherwise, such as SPEAKER_00.
   */
  label: string;
  /**
   * How probable it is that this is the same voice, from 0 to 1.
   */
  score: number;
}
/**
 * A written file; the path is absolute.
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
   * Download the model if it is not cached. Within `transcribe`, null follows its `download`.
   */
  download?: boolean | null;
  /**
   * `auto` chooses a usable CUDA device, or else the CPU.
   * @default "auto"
   */
  device?: "auto" | "cpu" | "cuda" | "mps";
  /**
   * Index of the device, from 0.
   * @default 0
   */
  deviceIndex?: number;
  /**
   * CPU threads; 0 uses every CPU that this process may use, fewer while other stages run.
   * @default 0
   */
  threads?: number;
  /**
   * Load pickled weights, which can run code when loaded. Only for authors whom you trust.
   * @default false
   */
  allowPickle?: boolean;
  /**
   * A torchaudio bundle, a hub id or a directory; defaults to whisperX's for the language.
   */
  model?: string | null;
  /**
   * `batched` runs many segments per forward pass and aligns with torchaudio. `whisperx` is the whisperx package's aligner, one segment at a time, for comparison.
   * @default "batched"
   */
  aligner?: "batched" | "whisperx";
  /**
   * Segments per forward pass of the batched aligner.
   * @default 8
   */
  batchSize?: number;
  /**
   * Also return the times of characters.
   * @default false
   */
  characters?: boolean;
  /**
   * How whisperX's aligner estimates times for words that it cannot align.
   * @default "nearest"
   */
  interpolation?: "linear" | "nearest";
  /**
   * Path of an audio or video file.
   */
  audio: string;
  /**
   * Use only this channel (from 0); without it, all channels are mixed.
   */
  channel?: number | null;
  /**
   * Which audio track, if there are several: its index (from 0), or a language tag such as `en`. Null means the one marked as default, or else the one with the most channels.
   */
  track?: number | string | null;
  /**
   * Seconds into the recording.
   * @default 0
   */
  start?: number;
  /**
   * Use only the part from `start` to `end`; returned times still refer to the recording.
   */
  end?: number | null;
  /**
   * If the recording is damaged: use what is good of it with a warning, or fail the request.
   * @default "warn"
   */
  onDamage?: "fail" | "warn";
  /**
   * A segment without times is searched for between its neighbours, or in the whole audio.
   */
  segments?: SegmentText[] | null;
  /**
   * Instead of segments: one text, spoken somewhere in the audio.
   */
  text?: string | null;
  /**
   * Code such as `en`. It may be null if each segment has its own. Each language is aligned by its default model, one after another, unless `model` names one for all.
   */
  language?: string | null;
  /**
   * Interactive requests overtake batch requests.
   * @default "interactive"
   */
  priority?: "batch" | "interactive";
  /**
   * How long an unused model stays loaded, in seconds; the worker's default when null.
   */
  keepAlive?: number | "forever" | null;
  /**
   * Report progress in `$/progress` notifications with this token; without it, none are sent.
   */
  progressToken?: number | string | null;
  /**
   * Send partial results, as they become available, with this token.
   */
  partialResultToken?: number | string | null;
}
/**
 * A segment to align, and roughly when it is spoken. Other members are ignored.
 */
export interface SegmentText {
  text: string;
  start?: number | null;
  end?: number | null;
  /**
   * Returned with the aligned segment; defaults to its position in the list.
   */
  id?: number | null;
  /**
   * Its language, if not that of the params: its own model aligns it.
   */
  language?: string | null;
}
/**
 * Result of `align`: every segment of the request, in the same order.
 */
export interface AlignResult {
  /**
   * With several languages: that of the most segments; `model` is its model.
   */
  language: string;
  segments: AlignedSegment[];
  model: string;
  /**
   * With several languages: the model of each.
   */
  models?: {
    [k: string]: string;
  };
  aligner: string;
  device: string;
  /**
   * Seconds of decoded audio.
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
  /**
   * With `align`: its language.
   */
  language?: string;
  words: Word[];
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
   * Download the model if it is not cached. Within `transcribe`, null follows its `download`.
   */
  download?: boolean | null;
  /**
   * `auto` chooses a usable CUDA device, or else the CPU.
   * @default "auto"
   */
  device?: "auto" | "cpu" | "cuda" | "mps";
  /**
   * Index of the device, from 0.
   * @default 0
   */
  deviceIndex?: number;
  /**
   * CPU threads; 0 uses every CPU that this process may use, fewer while other stages run.
   * @default 0
   */
  threads?: number;
  /**
   * Load pickled weights, which can run code when loaded. Only for authors whom you trust.
   * @default false
   */
  allowPickle?: boolean;
  /**
   * A pyannote pipeline: a hub id or a directory.
   * @default "pyannote/speaker-diarization-community-1"
   */
  model?: string;
  /**
   * Exact number of speakers. Prefer `maxSpeakers`: pyannote divides a voice, or makes one of a noise, to reach the number.
   */
  numSpeakers?: number | null;
  /**
   * Minimum number of speakers.
   */
  minSpeakers?: number | null;
  /**
   * Maximum number of speakers.
   */
  maxSpeakers?: number | null;
  /**
   * Windows per forward pass; defaults to the pipeline's own setting.
   */
  batchSize?: number | null;
  /**
   * Also return a voice embedding, a vector, for each speaker.
   * @default false
   */
  embeddings?: boolean;
  /**
   * Paths of files that `speakers/enroll` wrote. A speaker whose voice is in one of them gets its name; others stay SPEAKER_00 …
   */
  voices?: string[];
  /**
   * Path of a folder that keeps the voices of unknown speakers: so they have the same SPEAKER_nn in all recordings that are diarized with it. Created if it does not exist; the client deletes it.
   */
  voiceFolder?: string | null;
  /**
   * How probable a match has to be. Of single turns of real meetings, with CAM++ embeddings, 0.5 recognises 27 of 28 whose speaker is enrolled, and takes 1 in 100 for a given other voice; whole recordings are easier. Embeddings of other models may need another threshold.
   * @default 0.5
   */
  voiceThreshold?: number;
  /**
   * Path of an audio or video file.
   */
  audio: string;
  /**
   * Use only this channel (from 0); without it, all channels are mixed.
   */
  channel?: number | null;
  /**
   * Which audio track, if there are several: its index (from 0), or a language tag such as `en`. Null means the one marked as default, or else the one with the most channels.
   */
  track?: number | string | null;
  /**
   * Seconds into the recording.
   * @default 0
   */
  start?: number;
  /**
   * Use only the part from `start` to `end`; returned times still refer to the recording.
   */
  end?: number | null;
  /**
   * If the recording is damaged: use what is good of it with a warning, or fail the request.
   * @default "warn"
   */
  onDamage?: "fail" | "warn";
  /**
   * Interactive requests overtake batch requests.
   * @default "interactive"
   */
  priority?: "batch" | "interactive";
  /**
   * How long an unused model stays loaded, in seconds; the worker's default when null.
   */
  keepAlive?: number | "forever" | null;
  /**
   * Report progress in `$/progress` notifications with this token; without it, none are sent.
   */
  progressToken?: number | string | null;
  /**
   * Send partial results, as they become available, with this token.
   */
  partialResultToken?: number | string | null;
}
/**
 * Result of `diarize`. Without speech, `turns` and `speakers` are empty.
 */
export interface DiarizeResult {
  /**
   * Turns of different speakers overlap where they speak at the same time.
   */
  turns: Turn[];
  /**
   * Turns without overlap, one speaker at a time, for assigning speakers to words.
   */
  exclusiveTurns: Turn[];
  /**
   * In the order of their first turn.
   */
  speakers: string[];
  embeddings?: {
    [k: string]: number[];
  };
  /**
   * With `embeddings`: which model computed them. Those of different models do not compare.
   */
  embeddingModel?: string;
  /**
   * With `voices`: the speakers that were recognised.
   */
  voices?: NamedSpeaker[];
  model: string;
  device: string;
  /**
   * Seconds of decoded audio.
   */
  duration: number;
  warnings: Notice[];
  timings: Timings;
}
/**
 * Params of `speakers/enroll`.
 */
export interface EnrollParams {
  /**
   * Branch, tag or commit of a hub model.
   */
  revision?: string | null;
  /**
   * Download the model if it is not cached. Within `transcribe`, null follows its `download`.
   */
  download?: boolean | null;
  /**
   * `auto` chooses a usable CUDA device, or else the CPU.
   * @default "auto"
   */
  device?: "auto" | "cpu" | "cuda" | "mps";
  /**
   * Index of the device, from 0.
   * @default 0
   */
  deviceIndex?: number;
  /**
   * CPU threads; 0 uses every CPU that this process may use, fewer while other stages run.
   * @default 0
   */
  threads?: number;
  /**
   * Load pickled weights, which can run code when loaded. Only for authors whom you trust.
   * @default false
   */
  allowPickle?: boolean;
  /**
   * What the speaker will be called.
   */
  name: string;
  /**
   * Ten seconds of speech are enough; several recordings make the voice easier to recognise. Of each, the first two minutes are used.
   *
   * @minItems 1
   */
  recordings: VoiceSample[];
  /**
   * Path of the file for the voice print, which only its owner can read.
   */
  output: string;
  /**
   * Replace that file if it exists; if false, it is an error.
   * @default false
   */
  overwrite?: boolean;
  /**
   * The pyannote pipeline that will recognise the voice: its embedding model is used.
   * @default "pyannote/speaker-diarization-community-1"
   */
  model?: string;
  /**
   * Interactive requests overtake batch requests.
   * @default "interactive"
   */
  priority?: "batch" | "interactive";
  /**
   * How long the model stays loaded afterwards, in seconds; the worker's default when null.
   */
  keepAlive?: number | "forever" | null;
  /**
   * Report progress in `$/progress` notifications with this token; without it, none are sent.
   */
  progressToken?: number | string | null;
  /**
   * Send partial results, as they become available, with this token.
   */
  partialResultToken?: number | string | null;
}
/**
 * A recording, or a part of one, in which the person speaks alone.
 */
export interface VoiceSample {
  /**
   * Path of an audio or video file.
   */
  audio: string;
  /**
   * Use only this channel (from 0); without it, all channels are mixed.
   */
  channel?: number | null;
  /**
   * Which audio track, if there are several: its index (from 0), or a language tag such as `en`.
   */
  track?: number | string | null;
  /**
   * Seconds into the recording.
   * @default 0
   */
  start?: number;
  end?: number | null;
  /**
   * If the recording is damaged: use what is good of it with a warning, or fail the request.
   * @default "warn"
   */
  onDamage?: "fail" | "warn";
}
/**
 * Result of `speakers/enroll`.
 */
export interface EnrollResult {
  name: string;
  path: string;
  /**
   * Of speech in the voice print.
   */
  seconds: number;
  model: string;
  warnings: Notice[];
  timings: Timings;
}
/**
 * Params of `detectSpeech`. Only `audio` is required, and no model.
 */
export interface DetectSpeechParams {
  /**
   * Report progress in `$/progress` notifications with this token; without it, none are sent.
   */
  progressToken?: number | string | null;
  /**
   * Send partial results, as they become available, with this token.
   */
  partialResultToken?: number | string | null;
  /**
   * Path of an audio or video file.
   */
  audio: string;
  /**
   * Use only this channel (from 0); without it, all channels are mixed.
   */
  channel?: number | null;
  /**
   * Which audio track, if there are several: its index (from 0), or a language tag such as `en`. Null means the one marked as default, or else the one with the most channels.
   */
  track?: number | string | null;
  /**
   * Seconds into the recording.
   * @default 0
   */
  start?: number;
  /**
   * Use only the part from `start` to `end`; returned times still refer to the recording.
   */
  end?: number | null;
  /**
   * If the recording is damaged: use what is good of it with a warning, or fail the request.
   * @default "warn"
   */
  onDamage?: "fail" | "warn";
  /**
   * As in `transcribe`.
   */
  vadParameters?: VadParameters;
  /**
   * Interactive requests overtake batch requests.
   * @default "interactive"
   */
  priority?: "batch" | "interactive";
  /**
   * How long its engine stays afterwards, in seconds: 30 at most.
   */
  keepAlive?: number | "forever" | null;
}
/**
 * Result of `detectSpeech`. For silence, `speech` is empty.
 */
export interface DetectSpeechResult {
  speech: SpeechSpan[];
  /**
   * Seconds of speech, including padding.
   */
  speechDuration: number;
  /**
   * Seconds of examined audio.
   */
  duration: number;
  warnings: Notice[];
  timings: Timings;
}
/**
 * Speech without a pause of `minSilenceDuration`.
 */
export interface SpeechSpan {
  start: number;
  end: number;
  /**
   * Mean of Silero VAD's probabilities of speech, before padding.
   */
  probability: number;
}
/**
 * Params of `detectLanguage`. Only `audio` is required; the model is a multilingual Whisper.
 */
export interface DetectLanguageParams {
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
   * Download the model from the hub if it is not cached. Without it, nothing is downloaded.
   * @default false
   */
  download?: boolean;
  /**
   * `auto` chooses a usable CUDA device, or else the CPU.
   * @default "auto"
   */
  device?: "auto" | "cpu" | "cuda";
  /**
   * Index of the device, from 0.
   * @default 0
   */
  deviceIndex?: number;
  /**
   * The number type in which CTranslate2 stores and multiplies weights. `auto` is float16 on a CUDA device and int8 on a CPU; `default` is the type that the model is stored in, or float32 if the device does not support that type.
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
   * CPU threads of the model; 0 uses every CPU that this process may use.
   * @default 0
   */
  threads?: number;
  /**
   * Path of an audio or video file.
   */
  audio: string;
  /**
   * Use only this channel (from 0); without it, all channels are mixed.
   */
  channel?: number | null;
  /**
   * Which audio track, if there are several: its index (from 0), or a language tag such as `en`. Null means the one marked as default, or else the one with the most channels.
   */
  track?: number | string | null;
  /**
   * Seconds into the recording.
   * @default 0
   */
  start?: number;
  /**
   * Use only the part from `start` to `end`; returned times still refer to the recording.
   */
  end?: number | null;
  /**
   * If the recording is damaged: use what is good of it with a warning, or fail the request.
   * @default "warn"
   */
  onDamage?: "fail" | "warn";
  /**
   * Maximum number of 30 s windows to use, spread over the speech in the recording.
   * @default 5
   */
  windows?: number;
  /**
   * Interactive requests overtake batch requests.
   * @default "interactive"
   */
  priority?: "batch" | "interactive";
  /**
   * How long the model stays loaded afterwards, in seconds; the worker's default when null.
   */
  keepAlive?: number | "forever" | null;
  /**
   * Report progress in `$/progress` notifications with this token; without it, none are sent.
   */
  progressToken?: number | string | null;
  /**
   * Send partial results, as they become available, with this token.
   */
  partialResultToken?: number | string | null;
}
/**
 * Result of `detectLanguage`.
 */
export interface DetectLanguageResult {
  /**
   * The likeliest, weighing each window by its seconds of speech; null without speech.
   */
  language: string | null;
  probability: number;
  /**
   * The five likeliest.
   */
  languages: LanguageProbability[];
  /**
   * The windows used: their languages differ if the recording has several.
   */
  windows: LanguageWindow[];
  /**
   * Seconds of speech found.
   */
  speechDuration: number;
  /**
   * Seconds of examined audio.
   */
  duration: number;
  model: string;
  device: string;
  computeType: string;
  warnings: Notice[];
  timings: Timings;
}
/**
 * A language, and how probable it is.
 */
export interface LanguageProbability {
  language: string;
  probability: number;
}
/**
 * The likeliest language of one window.
 */
export interface LanguageWindow {
  language: string;
  probability: number;
  start: number;
  end: number;
}
/**
 * Params of `live/transcribe`. Only `stream` is required.
 */
export interface LiveTranscribeParams {
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
   * Download the model from the hub if it is not cached. Without it, nothing is downloaded.
   * @default false
   */
  download?: boolean;
  /**
   * `auto` chooses a usable CUDA device, or else the CPU.
   * @default "auto"
   */
  device?: "auto" | "cpu" | "cuda";
  /**
   * Index of the device, from 0.
   * @default 0
   */
  deviceIndex?: number;
  /**
   * The number type in which CTranslate2 stores and multiplies weights. `auto` is float16 on a CUDA device and int8 on a CPU; `default` is the type that the model is stored in, or float32 if the device does not support that type.
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
   * CPU threads of the model; 0 uses every CPU that this process may use.
   * @default 0
   */
  threads?: number;
  /**
   * A name that the client chooses, so that `live/append` may follow at once.
   */
  stream: string;
  /**
   * 16-bit integers, or 32-bit floats from -1 to 1; little-endian, one channel.
   * @default "pcm16"
   */
  format?: "float32" | "pcm16";
  /**
   * Samples per second.
   * @default 16000
   */
  sampleRate?: number;
  /**
   * Code such as `en`; without it, the first speech decides.
   */
  language?: string | null;
  /**
   * Show words while they are said. If false, each utterance is decoded once, at its end.
   * @default true
   */
  interim?: boolean;
  /**
   * Seconds of speech between two decodings.
   * @default 0.5
   */
  interval?: number;
  /**
   * Seconds without speech that end an utterance.
   * @default 0.8
   */
  endSilence?: number;
  /**
   * Seconds after which an utterance is divided, in its quietest place.
   * @default 12
   */
  maxUtterance?: number;
  /**
   * Seconds that Whisper's encoder sees at least. It takes time in proportion; some fine-tuned models repeat themselves with less than the 30 s that they were trained on.
   * @default 8
   */
  encoderContext?: number;
  /**
   * Seconds of audio that may wait. Beyond, a request is refused with live_overrun, and the audio of a notification becomes a gap. While the model loads, 600.
   * @default 30
   */
  maxBacklog?: number;
  /**
   * How to detect speech.
   */
  vadParameters?: LiveVadParameters | null;
  /**
   * After each utterance, time its words exactly, with an alignment model.
   * @default false
   */
  align?: boolean | AlignmentOptions;
  /**
   * At the end, separate the speakers, and assign one to each word and segment.
   * @default false
   */
  diarize?: boolean | SpeakerOptions;
  /**
   * Path of a WAV file that keeps all audio, whatever happens to its recognition.
   */
  record?: string | null;
  /**
   * Replace that file if it exists; if false, it is an error.
   * @default false
   */
  overwrite?: boolean;
  /**
   * Interactive requests overtake batch requests.
   * @default "interactive"
   */
  priority?: "batch" | "interactive";
  /**
   * How long the models stay loaded afterwards, in seconds; the worker's default when null.
   */
  keepAlive?: number | "forever" | null;
  /**
   * Report in `$/progress` notifications with this token when the stream is `ready`, and when `speech` starts and ends; without it, none are sent.
   */
  progressToken?: number | string | null;
  /**
   * Send segments as they become known, with this token.
   */
  partialResultToken?: number | string | null;
}
/**
 * How to detect speech in a stream.
 */
export interface LiveVadParameters {
  /**
   * Somebody speaks where the probability of speech is above this.
   * @default 0.5
   */
  threshold?: number;
  /**
   * Nobody speaks where it is below this; null means 0.15 less than `threshold`.
   */
  negThreshold?: number | null;
  /**
   * Seconds; shorter sounds are not speech.
   * @default 0.1
   */
  minSpeechDuration?: number;
}
/**
 * Result of `live/transcribe`: all final segments. It is a transcript for `export` and others.
 *
 * `duration` is that of the stream, with its gaps.
 */
export interface LiveTranscribeResult {
  text: string;
  language: string;
  languageProbability: number;
  /**
   * Seconds of transcribed audio.
   */
  duration: number;
  durationAfterVad: number;
  segments: Segment[];
  model: string;
  engine: string;
  device: string;
  computeType: string;
  warnings: Notice[];
  timings: Timings;
  /**
   * Seconds of work per second of audio, without waiting and loading.
   */
  realTimeFactor: number;
  /**
   * With the engine `whisper`: seconds of speech in each language, the most spoken first, which is `language`.
   */
  languages?: LanguageSeconds[];
  /**
   * With the engine `whisper`: seconds of speech.
   */
  speechSeconds?: number;
  /**
   * With the engine `whisper`: seconds of speech that have no text; `warnings` lists where.
   */
  lostSeconds?: number;
  /**
   * With the engine `whisper`: where nobody speaks for a second or longer.
   */
  silences?: TimeSpan[];
  /**
   * With `diarize`: who speaks when, including overlaps.
   */
  turns?: Turn[];
  /**
   * With `diarize` or `channelSpeakers`: the speakers, in the order of their first words.
   */
  speakers?: string[];
  speakerEmbeddings?: {
    [k: string]: number[];
  };
  /**
   * With `diarize.voices`: the speakers that were recognised.
   */
  voices?: NamedSpeaker[];
  /**
   * With `formats` and `outputDir`: the written files.
   */
  files?: ExportedFile[];
  /**
   * With `formats` but without `outputDir`: the texts, by format.
   */
  contents?: {
    [k: string]: string;
  };
  /**
   * Parts of the stream whose audio never came, or was not recognised; `warnings` says why.
   */
  gaps: TimeSpan[];
  /**
   * Null if nothing was said.
   */
  latency: LiveLatency | null;
  /**
   * With `record`: the path of the file.
   */
  recording?: string;
}
/**
 * How soon words come after they are said, if the audio comes as it is recorded.
 */
export interface LiveLatency {
  /**
   * Until a word is shown for the first time.
   */
  shown: Delay;
  /**
   * Until it is final.
   */
  final: Delay;
}
/**
 * Seconds after the end of a word within which half of all words come, and 95 of 100.
 */
export interface Delay {
  p50: number;
  p95: number;
}
/**
 * Params of `live/append`, the next audio of a stream.
 */
export interface LiveAppendParams {
  stream: string;
  /**
   * Samples in the stream's format, in base64.
   */
  audio: string;
  /**
   * When the first sample was recorded, in seconds of the stream. What came before is discarded, and a hole becomes silence. Null means right after the last sample.
   */
  at?: number | null;
}
/**
 * How far the stream is, with the audio of the request.
 */
export interface LiveAppendResult {
  audioReceived: number;
  /**
   * Up to here all that was said is known, but for an utterance that goes on.
   */
  audioDecoded: number;
  /**
   * What waits. Send less than `maxBacklog` ahead.
   */
  backlog: number;
}
/**
 * Params of `live/commit` and `live/finish`.
 */
export interface LiveStreamParams {
  stream: string;
}
/**
 * How far a stream is, in seconds of audio.
 */
export interface LiveStreamResult {
  audioReceived: number;
  /**
   * Up to here all that was said is known, but for an utterance that goes on.
   */
  audioDecoded: number;
  /**
   * What waits. Send less than `maxBacklog` ahead.
   */
  backlog: number;
}
/**
 * Params of `export`. Without `outputDir`, no file is written and the result has the texts.
 */
export interface ExportParams {
  /**
   * Report progress in `$/progress` notifications with this token; without it, none are sent.
   */
  progressToken?: number | string | null;
  /**
   * Send partial results, as they become available, with this token.
   */
  partialResultToken?: number | string | null;
  /**
   * The result of `transcribe`, or whisperX's JSON.
   */
  transcript: Transcript;
  /**
   * One file or text per format.
   *
   * @minItems 1
   */
  formats: (
    "ass" | "csv" | "html" | "json" | "lrc" | "rttm" | "srt" | "textgrid" | "tsv" | "txt" | "vtt"
  )[];
  /**
   * Path of the folder for the files, `name.format`; created if it does not exist.
   */
  outputDir?: string | null;
  /**
   * Name of the files, without suffix, and of the recording in rttm.
   * @default "transcript"
   */
  name?: string;
  /**
   * Replace existing files; if false, an existing file is an error.
   * @default true
   */
  overwrite?: boolean;
  /**
   * How captions look.
   */
  options?: ExportOptions;
}
/**
 * What was said, and by whom if it has `speaker` or `turns`.
 */
export interface Transcript {
  segments: TranscriptSegment[];
  language?: string | null;
  turns?: TranscriptTurn[] | null;
  /**
   * Where nobody speaks: captions of segments without words do not stand there.
   */
  silences?: TimeSpan[] | null;
}
/**
 * A segment of the text, in the order of the recording.
 */
export interface TranscriptSegment {
  text: string;
  /**
   * Seconds, below 100 hours, which SubRip cannot write. Negative times are corrected.
   */
  start?: number | null;
  /**
   * Seconds, below 100 hours, which SubRip cannot write. Negative times are corrected.
   */
  end?: number | null;
  words?: TranscriptWord[] | null;
  speaker?: string | null;
  /**
   * Code such as `en`, where segments differ in it.
   */
  language?: string | null;
}
/**
 * A word; without times if alignment found none. `score` is whisperX's `probability`.
 */
export interface TranscriptWord {
  word: string;
  /**
   * Seconds, below 100 hours, which SubRip cannot write. Negative times are corrected.
   */
  start?: number | null;
  /**
   * Seconds, below 100 hours, which SubRip cannot write. Negative times are corrected.
   */
  end?: number | null;
  probability?: number | null;
  score?: number | null;
  speaker?: string | null;
}
/**
 * One stretch of speech by one speaker; turns of different speakers may overlap.
 */
export interface TranscriptTurn {
  /**
   * Seconds, below 100 hours, which SubRip cannot write. Negative times are corrected.
   */
  start: number;
  /**
   * Seconds, below 100 hours, which SubRip cannot write. Negative times are corrected.
   */
  end: number;
  speaker: string;
}
/**
 * Result of `export`: `files` if `outputDir` was set, else `contents` by format.
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
   * Report progress in `$/progress` notifications with this token; without it, none are sent.
   */
  progressToken?: number | string | null;
  /**
   * Send partial results, as they become available, with this token.
   */
  partialResultToken?: number | string | null;
  /**
   * Only models for this task.
   */
  task?: ("alignment" | "diarization" | "recognition") | null;
  /**
   * Omit models that are neither cached nor loaded.
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
   * Processes that decode audio or talk to the hub; they end when they are no longer needed.
   */
  helpers: LoadedModel[];
  cacheDirectory: string;
  freeDisk: number;
  memory: MemoryInfo;
}
/**
 * A model that is known, cached or loaded.
 */
export interface ModelRow {
  /**
   * Null for a cached model that the catalogue does not contain.
   */
  task: string | null;
  name: string;
  /**
   * Null for a directory.
   */
  repository: string | null;
  /**
   * Empty if the model does not depend on the language, or its languages are unknown.
   */
  languages: string[];
  /**
   * Size of the cached files, or else of the published weights, rounded.
   */
  sizeOnDisk: number | null;
  /**
   * Measured at the last load, or else the size expected on a CPU.
   */
  sizeInMemory: number | null;
  licence: string | null;
  gated: boolean | null;
  cached: boolean;
  /**
   * Bytes of incomplete downloads; the next download resumes them.
   */
  incomplete: number;
  /**
   * Commits in the cache.
   */
  revisions: string[];
  loaded: LoadedModel[];
}
/**
 * A model in memory, in its own engine process.
 */
export interface LoadedModel {
  /**
   * `audio` or `hub` for a helper.
   */
  task: string;
  model: string;
  engine: string;
  /**
   * Null while the model is loading.
   */
  device: string | null;
  computeType: string | null;
  state: "busy" | "idle" | "loading";
  processId: number | null;
  /**
   * Jobs that use the model or wait for it.
   */
  jobs: number;
  idleSince: string | null;
  /**
   * When an unused model will be unloaded; null while it is busy or is kept forever.
   */
  expiresAt: string | null;
  /**
   * Resident memory of its process.
   */
  memory: number | null;
  /**
   * CUDA memory that its process holds.
   */
  deviceMemory: number | null;
  /**
   * How often the model was loaded.
   */
  loads: number;
}
/**
 * Memory of the machine or of its container, and the worker's share of it.
 */
export interface MemoryInfo {
  total: number;
  available: number;
  /**
   * Used by the worker and its engines.
   */
  used: number;
  budget: number | null;
}
/**
 * Params of `models/download`, which verifies cached files and replaces damaged ones.
 */
export interface DownloadModelParams {
  /**
   * Report progress in `$/progress` notifications with this token; without it, none are sent.
   */
  progressToken?: number | string | null;
  /**
   * Send partial results, as they become available, with this token.
   */
  partialResultToken?: number | string | null;
  /**
   * What the model is for.
   * @default "recognition"
   */
  task?: "alignment" | "diarization" | "recognition";
  /**
   * A known name, a hub id (`owner/name`) or, for `models/load`, a directory.
   */
  model?: string | null;
  /**
   * Selects the default alignment model of this language, if `model` is not set.
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
   * The commit hash.
   */
  revision: string | null;
  path: string;
  files: number;
  bytes: number;
  /**
   * How many of those bytes this request downloaded.
   */
  downloaded: number;
  /**
   * Damaged files that were downloaded again.
   */
  mended: string[];
  licence: string | null;
  warnings: Notice[];
}
/**
 * Params of `models/load`. Options that do not apply to the task are refused.
 *
 * The loaded model serves requests with the same `model`, `revision`, `device`, `deviceIndex`, and for recognition the same `engine`, `computeType` and `threads`.
 */
export interface LoadModelParams {
  /**
   * Report progress in `$/progress` notifications with this token; without it, none are sent.
   */
  progressToken?: number | string | null;
  /**
   * Send partial results, as they become available, with this token.
   */
  partialResultToken?: number | string | null;
  /**
   * What the model is for.
   * @default "recognition"
   */
  task?: "alignment" | "diarization" | "recognition";
  /**
   * A known name, a hub id (`owner/name`) or, for `models/load`, a directory.
   */
  model?: string | null;
  /**
   * Selects the default alignment model of this language, if `model` is not set.
   */
  language?: string | null;
  /**
   * Branch, tag or commit of a hub model.
   */
  revision?: string | null;
  /**
   * Download the model if it is not cached.
   * @default false
   */
  download?: boolean;
  /**
   * `auto` chooses a usable CUDA device, or else the CPU.
   * @default "auto"
   */
  device?: "auto" | "cpu" | "cuda" | "mps";
  /**
   * Index of the device, from 0.
   * @default 0
   */
  deviceIndex?: number;
  /**
   * For recognition; defaults to `whisper`. `live` is the engine of streams.
   */
  engine?: ("faster-whisper" | "whisper" | "whisperx") | "live" | null;
  /**
   * For recognition; defaults to `auto`.
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
   * CPU threads; 0 uses every CPU that this process may use.
   * @default 0
   */
  threads?: number;
  /**
   * Load pickled weights, which can run code when loaded. Only for authors whom you trust.
   * @default false
   */
  allowPickle?: boolean;
  /**
   * How long an unused model stays loaded, in seconds; the worker's default when null.
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
 * Params of `models/unload`; without `task` and `model`, all models are unloaded.
 */
export interface UnloadModelParams {
  /**
   * Report progress in `$/progress` notifications with this token; without it, none are sent.
   */
  progressToken?: number | string | null;
  /**
   * Send partial results, as they become available, with this token.
   */
  partialResultToken?: number | string | null;
  /**
   * Only models for this task.
   */
  task?: ("alignment" | "diarization" | "recognition") | null;
  /**
   * Only this model: its name, hub id or directory.
   */
  model?: string | null;
  /**
   * If a model is in use: fail and unload nothing, wait until it is free, or leave it loaded.
   * @default "refuse"
   */
  whenBusy?: "refuse" | "skip" | "wait";
}
/**
 * Result of `models/unload`: the unloaded models, as they were just before.
 */
export interface UnloadModelResult {
  unloaded: LoadedModel[];
  /**
   * Resident memory of the ended processes, including idle helpers.
   */
  freedMemory: number;
}
/**
 * Params of `models/remove`; without `revision`, every revision is removed.
 */
export interface RemoveModelParams {
  /**
   * Report progress in `$/progress` notifications with this token; without it, none are sent.
   */
  progressToken?: number | string | null;
  /**
   * Send partial results, as they become available, with this token.
   */
  partialResultToken?: number | string | null;
  /**
   * What the model is for.
   * @default "recognition"
   */
  task?: "alignment" | "diarization" | "recognition";
  /**
   * A known name, a hub id (`owner/name`) or, for `models/load`, a directory.
   */
  model?: string | null;
  /**
   * Selects the default alignment model of this language, if `model` is not set.
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
   * Report progress in `$/progress` notifications with this token; without it, none are sent.
   */
  progressToken?: number | string | null;
  /**
   * Send partial results, as they become available, with this token.
   */
  partialResultToken?: number | string | null;
  /**
   * Also contact the hub and check the token; otherwise the probe sends nothing.
   * @default false
   */
  online?: boolean;
  /**
   * Seconds after which the probe gives up on a package that hangs.
   * @default 120
   */
  timeout?: number;
}
/**
 * Result of `environment/probe`, with all secrets redacted.
 */
export interface ProbeResult {
  workerVersion: string;
  /**
   * `full` includes alignment, diarization and whisperx, which need torch; `lite` does not.
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
 * `overallScore` ranges from 0 to 100; 100 means neither errors nor warnings.
 */
export interface HealthMetrics {
  overallScore: number;
  errors: number;
  warnings: number;
  /**
   * Duration of the probe.
   */
  seconds: number;
}
/**
 * The packages that one capability of the worker depends on.
 */
export interface EnvironmentInfo {
  /**
   * `missing` is not a fault: this flavour does not include it.
   */
  status: "degraded" | "failed" | "missing" | "ready";
  packages: PackageInfo[];
  errors: string[];
}
/**
 * A package, tested in its own process.
 */
export interface PackageInfo {
  name: string;
  /**
   * True if it can be imported and, where the probe tried that, works.
   */
  available: boolean;
  state: "absent" | "crashed" | "import_failed" | "ok" | "timed_out" | "use_failed";
  /**
   * True if this flavour needs it.
   */
  required: boolean;
  version: string | null;
  location: string | null;
  importSeconds: number | null;
  error: string | null;
}
/**
 * A problem or limitation, and what to do about it.
 */
export interface Finding {
  /**
   * Kind of the finding; it never changes, so clients can program against it.
   */
  id: string;
  /**
   * An error breaks something, a warning makes it worse, an info needs no action.
   */
  severity: "error" | "info" | "warning";
  message: string;
  remedy: string;
  package: string | null;
  /**
   * The error with its causes, or the end of the process's stderr.
   */
  detail: string | null;
}
/**
 * The machine's compute devices.
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
   * Instruction sets, by numpy's names; empty if numpy does not list them.
   */
  features: string[];
  cores: number | null;
  threads: number | null;
  /**
   * Threads that this process may run on.
   */
  usableThreads: number;
  /**
   * Compute types that recognition can use.
   */
  computeTypes: string[];
}
/**
 * Memory of the machine, and the limit of the worker's container.
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
   * Compute types that recognition can use on this device.
   */
  computeTypes: string[];
}
/**
 * The program, its Python and the system.
 */
export interface PlatformInfo {
  frozen: boolean;
  /**
   * `sys._MEIPASS` in a frozen program, else null.
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
   * Number of entries in PATH.
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
   * The environment variable that sets its folder, or `default`.
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
   * Bytes of incomplete downloads.
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
 * The hub that models come from. Without `online`, its answers are null.
 */
export interface HubInfo {
  endpoint: string;
  /**
   * True if HF_HUB_OFFLINE is set.
   */
  offline: boolean;
  tokenSource: ("environment" | "initialize" | "login") | null;
  reachable: boolean | null;
  /**
   * How long its answer took.
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
   * Report progress in `$/progress` notifications with this token; without it, none are sent.
   */
  progressToken?: number | string | null;
  /**
   * Send partial results, as they become available, with this token.
   */
  partialResultToken?: number | string | null;
  /**
   * Seconds after which the worker gives up on a library that hangs.
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
   * Report progress in `$/progress` notifications with this token; without it, none are sent.
   */
  progressToken?: number | string | null;
  /**
   * Send partial results, as they become available, with this token.
   */
  partialResultToken?: number | string | null;
}
/**
 * Result of `hub/whoami`: the owner of the worker's token, and where the token comes from.
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
   * Report a request's progress or partial result to the client that sent a token.
   */
  "$/progress": {
    /**
     * The request's `progressToken` or `partialResultToken`.
     */
    token: number | string;
    value:
      | ProgressBegin
      | ProgressReport
      | ProgressEnd
      | PartialTranscript
      | PartialAlignment
      | PartialLive;
  };
  /**
   * Send a log message to a client that requested its level in initialize.
   */
  "$/logMessage": {
    level: "debug" | "error" | "info" | "warning";
    logger: string;
    message: string;
    time: string;
  };
}
/**
 * The work on the request begins.
 */
export interface ProgressBegin {
  kind: "begin";
  title: string;
}
/**
 * How far the request is.
 *
 * `percentage` (0-100) is of the whole request and never decreases. If several stages run in parallel, `stages` has the percentage of each one that has begun. `audioDone` and `audioTotal` are seconds of audio. Bytes and files are those of a model download; `message` names the model. A live stream is `ready` once its model is loaded. At the stage `speech`, `speech` says whether somebody started or ended to speak, and `at` when, in seconds of the stream.
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
    | "ready"
    | "recognition"
    | "speech"
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
  speech?: ("ended" | "started") | null;
  at?: number | null;
}
/**
 * The work on the request has ended; the reply says how.
 */
export interface ProgressEnd {
  kind: "end";
}
/**
 * Value of a partial result: the new segments.
 */
export interface PartialTranscript {
  language: string;
  segments: Segment[];
}
/**
 * Value of a partial result: the new segments.
 */
export interface PartialAlignment {
  segments: AlignedSegment[];
}
/**
 * Value of a partial result: the segments that changed.
 */
export interface PartialLive {
  language: string;
  audioReceived: number;
  audioDecoded: number;
  /**
   * Seconds from the arrival of the newest decoded sample to the sending of this.
   */
  lag: number;
  segments: LiveSegment[];
}
/**
 * A segment as it is known now: it replaces the one with its `id`.
 *
 * Ids ascend, and at most one segment is not final. Once `final`, its text never changes, but `diarize` divides it at the end where the speaker changes. A final segment without text takes back one that turned out to be nothing.
 */
export interface LiveSegment {
  id: number;
  start: number;
  end: number;
  text: string;
  language: string;
  final: boolean;
  /**
   * The final words come first.
   */
  words: LiveWord[];
  speaker?: string;
}
/**
 * A word. Once it is `final`, it never changes and never vanishes, but `align` may time it anew, and `diarize` assigns a speaker.
 */
export interface LiveWord {
  start: number;
  end: number;
  word: string;
  probability: number | null;
  /**
   * True if the word could not be aligned (a number, for example): its times are estimates.
   */
  interpolated?: boolean;
  speaker?: string;
  characters?: Character[];
  final: boolean;
}
