/** Plays the recording, with its timeline. Who speaks is told by the transcript. */
import type { Recording } from "../api.js";
import { byId, clock } from "./dom.js";
import { showUnplayable } from "./notices.js";
import type { Speakers } from "./speakers.js";
import { decode, MOST_BYTES, Timeline } from "./timeline.js";

export class Player {
  readonly timeline: Timeline;
  readonly #audio = byId<HTMLAudioElement>("audio");
  readonly #clock = byId<HTMLOutputElement>("clock");
  #recording: Recording | undefined;

  /** `moved` is called with each new position, in seconds. */
  constructor(
    speakers: Speakers,
    private readonly moved: (seconds: number) => void,
  ) {
    this.timeline = new Timeline(byId("timeline"), speakers, (seconds, playing) => {
      this.seek(seconds);
      if (playing) this.play();
    });
    const button = byId("play");
    button.addEventListener("click", () => this.toggle());
    for (const event of ["loadedmetadata", "seeked", "timeupdate"]) {
      this.#audio.addEventListener(event, () => this.#move());
    }
    for (const [event, label] of [
      ["play", "Pause"],
      ["pause", "Play"],
    ] as const) {
      this.#audio.addEventListener(event, () => {
        button.setAttribute("aria-label", label);
        document.body.classList.toggle("playing", event === "play");
        this.#follow();
      });
    }
  }

  get recording(): Recording | undefined {
    return this.#recording;
  }

  async load(recording: Recording): Promise<void> {
    this.#recording = recording;
    this.timeline.clear();
    byId("file").textContent = recording.name;
    this.#audio.src = `/audio/${recording.id}`;
    await this.#measure(recording);
  }

  clear(): void {
    this.#recording = undefined;
    this.#audio.removeAttribute("src");
    this.#audio.load();
    this.timeline.clear();
    byId("file").textContent = "";
  }

  play(): void {
    this.#audio.play().catch(({ name }: DOMException) => {
      if (name !== "AbortError") showUnplayable();
    });
  }

  playFrom(seconds: number): void {
    this.#audio.currentTime = seconds;
    this.play();
  }

  pause(): void {
    this.#audio.pause();
  }

  toggle(): void {
    if (this.#audio.paused) this.play();
    else this.pause();
  }

  seek(seconds: number): void {
    this.#audio.currentTime = Math.min(this.timeline.duration, Math.max(0, seconds));
    this.#move();
  }

  /** Seeks by so many seconds, back or on. */
  step(seconds: number): void {
    this.seek(this.#audio.currentTime + seconds);
  }

  #move(): void {
    const { currentTime, duration } = this.#audio;
    const { timeline } = this;
    if (Number.isFinite(duration)) timeline.duration = duration;
    timeline.position = currentTime;
    this.#clock.value = `${clock(currentTime)} / ${clock(timeline.duration)}`;
    this.moved(currentTime);
    timeline.draw();
  }

  #follow(): void {
    this.#move();
    if (!this.#audio.paused) requestAnimationFrame(() => this.#follow());
  }

  /** A recording that the browser cannot decode has no waveform; the worker knows more formats. */
  async #measure({ id, size }: Recording): Promise<void> {
    if (size > MOST_BYTES) return;
    try {
      const samples = await decode(await (await fetch(`/audio/${id}`)).arrayBuffer());
      if (this.#recording?.id === id) this.timeline.samples = samples;
    } catch (error) {
      console.info(error);
    }
  }
}
