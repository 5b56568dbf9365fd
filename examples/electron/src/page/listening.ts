/** Shows that the application listens: for how long, how loud it is, and what it does. */
import type { ProgressReport } from "transcription-worker-client";
import { byId, clock } from "./dom.js";
import { NAMES } from "./progress.js";

/** The quietest sound that the meter shows, in decibels. */
const QUIETEST = -60;
/** Seconds without any sound after which to say so: even a quiet room has some. */
const DEAF = 3;

const BEFORE: ReadonlySet<ProgressReport["stage"]> = new Set(["queue", "download", "load"]);

export class Listening {
  readonly #state = byId("listening-state");
  readonly #level = byId<HTMLMeterElement>("level");
  readonly #time = byId<HTMLOutputElement>("listening-time");
  #rate = 1;
  #samples = 0;
  /** Since when there is no sound at all, in samples. */
  #silentFrom = 0;
  #text = "";
  #finishing = false;

  /** A screen reader speaks `say`. */
  constructor(private readonly say: (text: string) => void) {}

  begin(sampleRate: number): void {
    this.#rate = sampleRate;
    this.#samples = this.#silentFrom = 0;
    this.#time.value = clock(0);
    this.#level.value = 0;
    this.#finishing = false;
    this.#show("Starting. You can speak already.");
  }

  hear(samples: Float32Array): void {
    const peak = samples.reduce((most, sample) => Math.max(most, Math.abs(sample)), 0);
    this.#samples += samples.length;
    if (peak > 0) this.#silentFrom = this.#samples;
    this.#time.value = clock(this.#samples / this.#rate);
    this.#level.value = Math.max(0, 1 - (20 * Math.log10(peak)) / QUIETEST);
    const deaf = this.#samples - this.#silentFrom > DEAF * this.#rate;
    this.#tell(deaf ? "No sound comes from the microphone. Is it muted?" : this.#text);
  }

  report({ stage, speech }: ProgressReport): void {
    if (stage === "speech") {
      document.body.classList.toggle("speaking", !this.#finishing && speech === "started");
    } else if (this.#finishing) this.#show(`Finishing: ${NAMES[stage].toLowerCase()}`);
    else if (stage === "ready") this.#show(NAMES[stage]);
    else if (BEFORE.has(stage)) this.#show(`${NAMES[stage]}. You can speak already.`);
  }

  /** After the last sound. */
  finish(): void {
    document.body.classList.remove("speaking");
    this.#finishing = true;
    this.#show("Finishing");
  }

  #show(text: string): void {
    this.#text = text;
    this.#tell(text);
  }

  #tell(text: string): void {
    if (this.#state.textContent === text) return;
    this.#state.textContent = text;
    this.say(text);
  }
}
