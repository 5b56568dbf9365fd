/** The page: opens recordings, sends requests, shows results. */
import type { LiveTranscribeResult, TranscribeResult } from "transcription-worker-client";
import type {
  Api,
  Failure,
  Format,
  JobOptions,
  News,
  Outcome,
  Recorded,
  Recording,
} from "../api.js";
import { FORMATS } from "../checks.js";
import { byId, clock, el } from "./dom.js";
import { showHealth } from "./health.js";
import { Listening } from "./listening.js";
import { Microphone, unheard } from "./microphone.js";
import {
  clearNotices,
  showFailure,
  showKept,
  showLost,
  showUnplayable,
  showWarning,
  showWorker,
  type Action,
} from "./notices.js";
import { JobProgress } from "./progress.js";
import { Speakers } from "./speakers.js";
import { decode, MOST_BYTES, Timeline } from "./timeline.js";
import { Transcript } from "./transcript.js";

declare const transcriber: Api;

type State = "empty" | "ready" | "running" | "recording" | "finishing" | "done";

const FORMAT_NAMES: Record<Format, string> = {
  srt: "Subtitles (srt)",
  vtt: "Web subtitles (vtt)",
  ass: "Styled subtitles (ass)",
  txt: "Text (txt)",
  html: "Web page (html)",
  json: "WhisperX (json)",
  csv: "Table (csv)",
  tsv: "Table (tsv)",
  lrc: "Lyrics (lrc)",
  rttm: "Speakers (rttm)",
  textgrid: "Praat (TextGrid)",
};

const field = (id: string): HTMLInputElement => byId<HTMLInputElement>(id);
const audio = byId<HTMLAudioElement>("audio");
const button = byId<HTMLButtonElement>("play");
const start = byId<HTMLButtonElement>("start");

const speakers = new Speakers(showLegend);
const timeline = new Timeline(byId("timeline"), speakers, (seconds, playing) => {
  audio.currentTime = seconds;
  if (playing) play();
  move();
});
const transcript = new Transcript(speakers, (seconds) => {
  audio.currentTime = seconds;
  play();
});
const progress = new JobProgress(say);
const listening = new Listening(say);
let recording: Recording | undefined;
/** A recording that goes on. */
let dictation:
  | {
      microphone: Microphone;
      /** What was said before the worker listens; null once it does. */
      early: Float32Array[] | null;
      /** All of it was heard: the microphone is free. */
      heard: boolean;
    }
  | undefined;

function say(text: string): void {
  byId("status").textContent = text;
}

function enter(state: State): void {
  document.body.dataset["state"] = state;
  const running = state === "running" || state === "recording" || state === "finishing";
  start.hidden = running;
  start.disabled = state === "empty";
  byId("cancel").hidden = !running || state === "recording";
  byId("cancel").toggleAttribute("disabled", false);
  byId("options").querySelector("fieldset")!.disabled = running;
  for (const id of ["open", "drop"]) byId(id).toggleAttribute("disabled", running);
  byId("record").toggleAttribute("disabled", running && state !== "recording");
  byId("record-label").textContent = state === "recording" ? "Stop" : "Record";
  byId("save").toggleAttribute("disabled", state !== "done");
}

async function take(opening: Promise<Outcome<Recording | null>>): Promise<void> {
  const outcome = await opening;
  if (!outcome.ok) return showFailure(outcome.failure);
  if (!outcome.value) return;
  clearNotices();
  clearTranscript();
  enter("ready");
  say(`${outcome.value.name} is open.`);
  await load(outcome.value);
}

async function load(opened: Recording): Promise<void> {
  recording = opened;
  timeline.clear();
  byId("file").textContent = opened.name;
  document.title = `${opened.name} – Transcriber`;
  audio.src = `/audio/${opened.id}`;
  await measure(opened);
}

function close(): void {
  recording = undefined;
  audio.removeAttribute("src");
  audio.load();
  timeline.clear();
  clearTranscript();
  byId("file").textContent = "";
  document.title = "Transcriber";
}

/** A recording that the browser cannot decode has no waveform; the worker knows more formats. */
async function measure({ id, size }: Recording): Promise<void> {
  if (size > MOST_BYTES) return;
  try {
    const samples = await decode(await (await fetch(`/audio/${id}`)).arrayBuffer());
    if (recording?.id === id) timeline.samples = samples;
  } catch (error) {
    console.info(error);
  }
}

function clearTranscript(): void {
  transcript.clear();
  speakers.clear();
  timeline.turns = [];
  byId("summary").textContent = "";
  byId("nothing").hidden = true;
}

function options(): JobOptions {
  const text = (id: string): string | null => field(id).value.trim() || null;
  return {
    model: field("model").value.trim(),
    language: byId<HTMLSelectElement>("language").value || null,
    align: field("align").checked,
    alignmentModel: text("alignment-model"),
    diarize: field("diarize").checked,
    diarizationModel: text("diarization-model"),
    speakers: text("speakers") === null ? null : Number(text("speakers")),
    download: field("download").checked,
  };
}

async function transcribe(): Promise<void> {
  if (!recording) return;
  clearNotices();
  clearTranscript();
  const asked = options();
  progress.begin(asked);
  enter("running");
  const outcome = await transcriber.transcribe(recording.id, asked);
  if (outcome.ok) return finish(outcome.value);
  enter("ready");
  fail(outcome.failure, asked, transcribe);
}

function fail(failure: Failure, asked: JobOptions, again: () => Promise<void>): void {
  say(failure.message);
  showFailure(failure, downloading(failure, asked, again));
}

async function record(): Promise<void> {
  const before = document.body.dataset["state"] as State;
  clearNotices();
  byId("record").toggleAttribute("disabled", true);
  const opened = await Microphone.open().catch(unheard);
  if (!(opened instanceof Microphone)) {
    enter(before);
    return showFailure(opened);
  }
  if (document.body.dataset["state"] !== before) return opened.stop(); // the user did something else
  const { sampleRate } = opened;
  const asked = options();
  close();
  listening.begin(sampleRate);
  enter("recording");
  const mine = (dictation = { microphone: opened, early: [], heard: false });
  opened.start(hearSamples, () => {
    showLost();
    void stop();
  });
  const outcome = await transcriber.record({ ...asked, sampleRate });
  dictation = undefined;
  await mine.microphone.stop();
  if (outcome.ok) return keep(outcome.value, asked);
  enter("empty");
  showFailure(outcome.failure);
}

function hearSamples(samples: Float32Array): void {
  listening.hear(samples);
  if (dictation?.early) dictation.early.push(samples);
  else if (dictation) transcriber.hear(samples);
}

/** The worker has begun to listen, also to what was said before. */
function catchUp(): void {
  if (!dictation) return;
  for (const samples of dictation.early ?? []) transcriber.hear(samples);
  dictation.early = null;
  if (dictation.heard) void transcriber.stop();
}

async function stop(): Promise<void> {
  if (!dictation || document.body.dataset["state"] !== "recording") return;
  const mine = dictation;
  enter("finishing");
  listening.finish();
  await mine.microphone.stop();
  mine.heard = true;
  if (!mine.early) void transcriber.stop();
}

function keep({ recording: made, path, result, failure }: Recorded, asked: JobOptions): void {
  if (made) void load(made);
  if (path !== null) showKept(path);
  if (result) {
    clearTranscript();
    return finish(result);
  }
  enter(made ? "ready" : "empty");
  if (failure) fail(failure, asked, record);
}

function finish(result: TranscribeResult | LiveTranscribeResult): void {
  transcript.take(result.segments);
  timeline.turns = result.turns ?? transcript.segments;
  byId("nothing").hidden = result.segments.length > 0;
  byId("summary").textContent = [
    result.language && new Intl.DisplayNames("en", { type: "language" }).of(result.language),
    clock(result.duration),
    speed(result),
  ]
    .filter(Boolean)
    .join(" · ");
  for (const warning of result.warnings) if (warning.level !== "info") showWarning(warning);
  enter("done");
  say(`Transcribed: ${result.segments.length} segments.`);
}

/** How fast a recording was transcribed, or how soon the words of a live one came. */
function speed(result: TranscribeResult | LiveTranscribeResult): string {
  if (!("latency" in result)) return `${(1 / result.realTimeFactor).toPrecision(2)} × speed`;
  return result.latency ? `words after ${result.latency.shown.p50.toFixed(1)} s` : "";
}

function downloading(
  { kind }: Failure,
  { download }: JobOptions,
  again: () => Promise<void>,
): Action | undefined {
  if (kind !== "model_not_cached" || download) return undefined;
  const run = (): void => {
    field("download").checked = true;
    void again();
  };
  const remedy = "Download it once: it then stays on this machine.";
  return { label: "Download and try again", remedy, run };
}

function hear(news: News): void {
  if (news.kind === "progress") (dictation ? listening : progress).report(news.report);
  else if (news.kind === "listening") catchUp();
  else if (news.kind === "segments") {
    transcript.take(news.segments);
    timeline.turns = transcript.segments;
  } else if (news.state === "running") {
    const message = news.restarted ? "The transcription starts over." : "It is there again.";
    showWorker("The worker has restarted", message, "info");
  } else {
    const what = news.restarts
      ? "It restarts, and the transcription starts over."
      : "It restarts when it is needed.";
    showWorker("The worker ended", `${news.message} ${what}`, "warning");
  }
}

async function save(): Promise<void> {
  const outcome = await transcriber.save(byId<HTMLSelectElement>("format").value as Format);
  if (!outcome.ok) showFailure(outcome.failure);
  else if (outcome.value !== null) say(`Saved ${outcome.value}`);
  if (outcome.ok && outcome.value !== null) byId("summary").textContent = `Saved ${outcome.value}`;
}

function showLegend(): void {
  byId("speakers-legend").replaceChildren(
    ...speakers.all.map((speaker) =>
      el("li", { "data-speaker": String(speakers.colour(speaker)) }, speakers.name(speaker)),
    ),
  );
}

function move(): void {
  const { currentTime, duration } = audio;
  if (Number.isFinite(duration)) timeline.duration = duration;
  timeline.position = currentTime;
  byId<HTMLOutputElement>("clock").value = `${clock(currentTime)} / ${clock(timeline.duration)}`;
  transcript.mark(currentTime);
  timeline.draw();
}

function whilePlaying(): void {
  move();
  if (!audio.paused) requestAnimationFrame(whilePlaying);
}

function play(): void {
  audio.play().catch(({ name }: DOMException) => {
    if (name !== "AbortError") showUnplayable();
  });
}

function toggle(): void {
  if (audio.paused) play();
  else audio.pause();
}

async function fillModels(): Promise<void> {
  const outcome = await transcriber.models();
  if (!outcome.ok) return showFailure(outcome.failure);
  const codes = new Set<string>();
  for (const { name, languages, cached } of outcome.value) {
    const label = cached ? "on this machine" : "to be downloaded";
    byId("models").append(el("option", { value: name, label }));
    for (const code of languages) codes.add(code);
  }
  const names = new Intl.DisplayNames("en", { type: "language" });
  const languages = [...codes].map((code) => ({ code, name: names.of(code) ?? code }));
  languages.sort((a, b) => a.name.localeCompare(b.name));
  byId("language").append(
    ...languages.map(({ code, name }) => el("option", { value: code }, name)),
  );
}

byId("record").addEventListener("click", () => void (dictation ? stop() : record()));
for (const id of ["open", "drop"]) {
  byId(id).addEventListener("click", () => void take(transcriber.open()));
}
byId("options").addEventListener("submit", (event) => {
  event.preventDefault();
  void transcribe();
});
byId("cancel").addEventListener("click", () => {
  byId("cancel").toggleAttribute("disabled", true);
  void transcriber.cancel();
});
byId("export").addEventListener("submit", (event) => {
  event.preventDefault();
  void save();
});
byId("format").append(
  ...FORMATS.map((format) => el("option", { value: format }, FORMAT_NAMES[format])),
);
byId("check-health").addEventListener("click", () => void showHealth(transcriber));
byId("close-health").addEventListener("click", () => byId<HTMLDialogElement>("health").close());

button.addEventListener("click", toggle);
for (const event of ["loadedmetadata", "seeked", "timeupdate"]) audio.addEventListener(event, move);
audio.addEventListener("play", () => {
  button.setAttribute("aria-label", "Pause");
  document.body.classList.add("playing");
  whilePlaying();
});
audio.addEventListener("pause", () => {
  button.setAttribute("aria-label", "Play");
  document.body.classList.remove("playing");
});
document.addEventListener("keydown", (event) => {
  const free = event.target === document.body || event.target === timeline.canvas;
  if (event.key !== " " || !free || !recording) return;
  event.preventDefault();
  toggle();
});

document.addEventListener("dragover", (event) => {
  event.preventDefault();
  document.body.classList.add("dragging");
});
document.addEventListener("dragleave", (event) => {
  if (!event.relatedTarget) document.body.classList.remove("dragging");
});
document.addEventListener("drop", (event) => {
  event.preventDefault();
  document.body.classList.remove("dragging");
  const file = event.dataTransfer?.files[0];
  if (file && !byId("open").hasAttribute("disabled")) void take(transcriber.drop(file));
});

transcriber.listen(hear);
enter("empty");
void fillModels();
