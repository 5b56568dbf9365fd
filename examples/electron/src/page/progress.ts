/** Shows the progress of a job, overall and per stage. */
import type { ProgressReport } from "transcription-worker-client";
import type { JobOptions } from "../api.js";
import { byId, bytes, el } from "./dom.js";

export const NAMES: Record<ProgressReport["stage"], string> = {
  queue: "Waiting",
  download: "Downloading",
  load: "Loading models",
  decode: "Reading the recording",
  speechDetection: "Finding speech",
  recognition: "Recognising words",
  alignment: "Timing words",
  diarization: "Separating speakers",
  assignment: "Assigning speakers",
  probe: "Checking",
  ready: "Listening",
  speech: "Listening",
};

export class JobProgress {
  readonly #doing = byId("doing");
  readonly #percentage = byId<HTMLOutputElement>("percentage");
  readonly #overall = byId<HTMLProgressElement>("overall");
  readonly #stages = byId("stages");
  #said = "";

  /** A screen reader speaks `say`: once per stage, not for every percent. */
  constructor(private readonly say: (text: string) => void) {}

  begin({ align, diarize }: JobOptions): void {
    this.#doing.textContent = "Starting";
    this.#percentage.value = "";
    this.#overall.removeAttribute("value");
    this.#said = "";
    this.#stages.replaceChildren();
    for (const stage of ["decode", "recognition"] as const) this.#bar(stage, 0);
    if (align) this.#bar("alignment", 0);
    if (diarize) this.#bar("diarization", 0);
  }

  report({ stage, percentage, stages, bytesDone, bytesTotal, message }: ProgressReport): void {
    let doing = NAMES[stage];
    if (stage === "download" && message) doing += ` ${message}`;
    if (stage === "download" && bytesDone && bytesTotal) {
      doing += `: ${bytes(bytesDone)} of ${bytes(bytesTotal)}`;
    }
    this.#doing.textContent = doing;
    if (percentage) {
      this.#overall.value = percentage;
      this.#percentage.value = `${Math.floor(percentage)} %`;
    }
    for (const [name, done] of Object.entries(stages ?? {})) {
      this.#bar(name as ProgressReport["stage"], done);
    }
    if (this.#said === stage) return;
    this.#said = stage;
    this.say(NAMES[stage]);
  }

  #bar(stage: ProgressReport["stage"], done: number): void {
    let item = this.#stages.querySelector<HTMLElement>(`[data-stage="${stage}"]`);
    if (!item) {
      const label = NAMES[stage] ?? stage;
      const bar = el("progress", { max: "100", value: "0", "aria-label": label });
      item = el("li", { "data-stage": stage }, el("span", {}, label), bar);
      this.#stages.append(item);
    }
    item.querySelector("progress")!.value = done;
    item.classList.toggle("complete", done >= 100);
    item.classList.toggle("begun", done > 0);
  }
}
