/** The page: opens recordings, has them transcribed, and shows what comes. */
import type { LiveTranscribeResult, TranscribeResult } from "transcription-worker-client";
import type { Api, Failure, JobOptions, News, Outcome, Recorded, Recording } from "../api.js";
import { Corrections, showLegend } from "./corrections.js";
import { Dictation } from "./dictation.js";
import { byId, clock } from "./dom.js";
import { showHealth } from "./health.js";
import { listenToKeys } from "./keys.js";
import { Listening } from "./listening.js";
import { ModelChooser } from "./models.js";
import { clearNotices, showFailure, showKept, showWarning, showWorker } from "./notices.js";
import { downloading, offerLanguages, options } from "./options.js";
import { Player } from "./player.js";
import { JobProgress } from "./progress.js";
import { RecentList } from "./recent.js";
import { offerSaving } from "./saving.js";
import { Speakers } from "./speakers.js";
import { busy, enter, say } from "./state.js";
import { Transcript } from "./transcript.js";

declare const transcriber: Api;

const speakers = new Speakers(() => showLegend(speakers, transcript.editable));
const transcript: Transcript = new Transcript(speakers, (seconds) => player.playFrom(seconds));
const player = new Player(speakers, (seconds) => transcript.mark(seconds));
const corrections = new Corrections(transcriber, transcript, speakers, player);
const progress = new JobProgress(say);
const listening = new Listening(say);
const dictation = new Dictation(transcriber, listening);
const models = new ModelChooser(transcriber);
const recent = new RecentList(transcriber, (id) => take(() => transcriber.reopen(id)));

async function take(open: () => Promise<Outcome<Recording | null>>): Promise<void> {
  if (busy() || !(await corrections.mayLose())) return;
  const outcome = await open();
  void recent.refresh();
  if (!outcome.ok) return showFailure(outcome.failure);
  if (!outcome.value) return;
  clearNotices();
  clearTranscript();
  enter("ready");
  say(`${outcome.value.name} is open.`);
  await load(outcome.value);
}

async function load(recording: Recording): Promise<void> {
  document.title = `${recording.name} – Transcriber`;
  await player.load(recording);
}

function close(): void {
  player.clear();
  clearTranscript();
  document.title = "Transcriber";
}

function clearTranscript(): void {
  transcript.clear();
  speakers.clear();
  corrections.begin();
  player.timeline.turns = [];
  byId("summary").textContent = "";
  byId("nothing").hidden = true;
}

async function transcribe(): Promise<void> {
  const { recording } = player;
  if (!recording || busy() || !(await corrections.mayLose())) return;
  clearNotices();
  clearTranscript();
  const asked = options();
  progress.begin(asked);
  enter("running");
  const outcome = await transcriber.transcribe(recording.id, asked);
  if (asked.download) void models.refresh();
  if (outcome.ok) return finish(outcome.value);
  enter("ready");
  fail(outcome.failure, asked, transcribe);
}

function fail(failure: Failure, asked: JobOptions, again: () => Promise<void>): void {
  say(failure.message);
  showFailure(failure, downloading(failure, asked, again));
}

async function record(): Promise<void> {
  if (busy() || !(await corrections.mayLose())) return;
  clearNotices();
  const opened = await dictation.open();
  if (typeof opened !== "boolean") return showFailure(opened);
  if (!opened) return;
  const asked = options();
  close();
  const outcome = await dictation.record(asked);
  void recent.refresh();
  if (outcome.ok) return keep(outcome.value, asked);
  enter("empty");
  showFailure(outcome.failure);
}

function keep({ recording, path, result, failure }: Recorded, asked: JobOptions): void {
  if (recording) void load(recording);
  if (path !== null) showKept(path);
  if (result) {
    clearTranscript();
    return finish(result);
  }
  enter(recording ? "ready" : "empty");
  if (failure) fail(failure, asked, record);
}

function finish(result: TranscribeResult | LiveTranscribeResult): void {
  transcript.editable = true;
  transcript.take(result.segments);
  showLegend(speakers, true);
  player.timeline.turns = result.turns ?? transcript.segments;
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

/** Shows what was there before the page crashed. */
async function resume(): Promise<void> {
  const outcome = await transcriber.resume();
  if (!outcome.ok) return showFailure(outcome.failure);
  if (!outcome.value) return;
  void load(outcome.value.recording);
  finish(outcome.value.result);
  corrections.begin(outcome.value);
}

/** How fast a recording was transcribed, or how soon the words of a live one came. */
function speed(result: TranscribeResult | LiveTranscribeResult): string {
  if (!("latency" in result)) return `${(1 / result.realTimeFactor).toPrecision(2)} × speed`;
  return result.latency ? `words after ${result.latency.shown.p50.toFixed(1)} s` : "";
}

function hear(news: News): void {
  if (news.kind === "progress") (dictation.active ? listening : progress).report(news.report);
  else if (news.kind === "download") models.report(news.model, news.report);
  else if (news.kind === "listening") dictation.catchUp();
  else if (news.kind === "segments") {
    transcript.take(news.segments);
    player.timeline.turns = transcript.segments;
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

byId("record").addEventListener(
  "click",
  () => void (dictation.active ? dictation.stop() : record()),
);
for (const id of ["open", "drop"]) {
  byId(id).addEventListener("click", () => void take(() => transcriber.open()));
}
byId("options").addEventListener("submit", (event) => {
  event.preventDefault();
  void transcribe();
});
byId("cancel").addEventListener("click", () => {
  byId("cancel").toggleAttribute("disabled", true);
  void transcriber.cancel();
});
byId("check-health").addEventListener("click", () => void showHealth(transcriber));

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
  if (file) void take(() => transcriber.drop(file));
});

offerSaving(
  transcriber,
  () => corrections.settled(),
  ({ unsaved }) => (corrections.unsaved = unsaved),
);
listenToKeys(player, () => corrections.undo());
transcriber.listen(hear);
enter("empty");
void resume().then(() => recent.refresh());
void models.refresh().then((known) => known && offerLanguages(known));
