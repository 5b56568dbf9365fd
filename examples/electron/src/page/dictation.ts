/** Records the microphone, which can be spoken into while the worker still starts. */
import type { Api, Failure, JobOptions, Outcome, Recorded } from "../api.js";
import { byId } from "./dom.js";
import type { Listening } from "./listening.js";
import { Microphone, unheard } from "./microphone.js";
import { showLost } from "./notices.js";
import { enter, state } from "./state.js";

export class Dictation {
  #microphone: Microphone | undefined;
  /** What was said before the worker listens; null once it does. */
  #early: Float32Array[] | null = [];
  /** All of it was heard: the microphone is free. */
  #heard = false;

  constructor(
    private readonly api: Api,
    private readonly listening: Listening,
  ) {}

  /** Whether a recording goes on. */
  get active(): boolean {
    return this.#microphone !== undefined;
  }

  /** Opens the microphone: false if the user did something else meanwhile. */
  async open(): Promise<boolean | Failure> {
    const before = state();
    byId("record").toggleAttribute("disabled", true);
    const opened = await Microphone.open().catch(unheard);
    if (!(opened instanceof Microphone)) {
      enter(before);
      return opened;
    }
    if (state() === before) this.#microphone = opened;
    else void opened.stop();
    return this.active;
  }

  /** Records until `stop`, and resolves with what became of it. */
  async record(options: JobOptions): Promise<Outcome<Recorded>> {
    const microphone = this.#microphone!;
    const { sampleRate } = microphone;
    this.#early = [];
    this.#heard = false;
    this.listening.begin(sampleRate);
    enter("recording");
    const lost = (): void => {
      showLost();
      void this.stop();
    };
    microphone.start((samples) => this.#hear(samples), lost);
    const outcome = await this.api.record({ ...options, sampleRate });
    this.#microphone = undefined;
    await microphone.stop();
    return outcome;
  }

  /** The worker has begun to listen, also to what was said before. */
  catchUp(): void {
    if (!this.active) return;
    for (const samples of this.#early ?? []) this.api.hear(samples);
    this.#early = null;
    if (this.#heard) void this.api.stop();
  }

  async stop(): Promise<void> {
    if (state() !== "recording") return;
    enter("finishing");
    this.listening.finish();
    await this.#microphone?.stop();
    this.#heard = true;
    if (!this.#early) void this.api.stop();
  }

  #hear(samples: Float32Array): void {
    this.listening.hear(samples);
    if (!this.active) return;
    if (this.#early) this.#early.push(samples);
    else this.api.hear(samples);
  }
}
