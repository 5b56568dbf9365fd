/** Validates what the page sends: it shows text from others, so it is not trusted. */
import type { Format, JobOptions, RecordOptions } from "./api.js";

export const FORMATS: readonly Format[] = [
  "srt",
  "vtt",
  "txt",
  "html",
  "json",
  "csv",
  "tsv",
  "ass",
  "lrc",
  "rttm",
  "textgrid",
];

/** A request that the application itself refuses. */
export class Refusal extends Error {
  constructor(
    message: string,
    readonly remedy: string | null = null,
  ) {
    super(message);
  }
}

export function asText(value: unknown): string {
  if (typeof value === "string" && value !== "") return value;
  throw new Refusal("The page sent something that is not a text.");
}

/** Characters; a segment lasts half a minute at most. */
const [LONGEST_NAME, LONGEST_TEXT] = [100, 10_000];

/** One line, without spaces around it. */
function asLine(value: unknown, longest: number): string {
  const text = typeof value === "string" ? value : asText(value);
  const line = text.replace(/[\s\p{Cc}]+/gu, " ").trim();
  if (line.length <= longest) return line;
  throw new Refusal("The text is too long.", `Use at most ${longest} characters.`);
}

/** The name of a speaker. */
export function asName(value: unknown): string {
  const name = asLine(value, LONGEST_NAME);
  if (name !== "") return name;
  throw new Refusal("A speaker needs a name.", "Enter one, or press Escape to keep the old one.");
}

/** The text of a segment, which may be empty. */
export function asCorrection(value: unknown): string {
  return asLine(value, LONGEST_TEXT);
}

export function asNumber(value: unknown): number {
  if (typeof value === "number") return value;
  throw new Refusal("The page sent something that is not a number.");
}

export function asFormat(value: unknown): Format {
  const format = FORMATS.find((known) => known === value);
  if (format) return format;
  throw new Refusal("The format does not exist.");
}

export function asJobOptions(value: unknown): JobOptions {
  const given = (typeof value === "object" && value !== null ? value : {}) as JobOptions;
  const { model, language, alignmentModel, diarizationModel, speakers } = given;
  if (speakers !== null && !Number.isInteger(speakers)) {
    throw new Refusal("The number of speakers is not a whole number.");
  }
  return {
    model: asText(model),
    language: language === null ? null : asText(language),
    align: given.align === true,
    alignmentModel: alignmentModel === null ? null : asText(alignmentModel),
    diarize: given.diarize === true,
    diarizationModel: diarizationModel === null ? null : asText(diarizationModel),
    speakers,
    download: given.download === true,
  };
}

/** The rates that the worker takes. */
const [LOWEST_RATE, HIGHEST_RATE] = [8_000, 48_000];
/** Of one chunk; the page sends a tenth. */
const MOST_SECONDS = 10;

export function asRecordOptions(value: unknown): RecordOptions {
  const options = asJobOptions(value);
  const { sampleRate } = value as RecordOptions;
  if (!Number.isInteger(sampleRate) || sampleRate < LOWEST_RATE || sampleRate > HIGHEST_RATE) {
    throw new Refusal("The worker does not take this sample rate.");
  }
  return { ...options, sampleRate };
}

/** Null if it is something else: samples have no answer. */
export function asSamples(value: unknown): Float32Array | null {
  const samples = value instanceof Float32Array && value.length <= HIGHEST_RATE * MOST_SECONDS;
  return samples ? value : null;
}
