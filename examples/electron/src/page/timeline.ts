/** Draws the recording as a timeline: loudness, speakers, and the player's position. */
import { clock } from "./dom.js";
import { SPEAKER_COLOURS, type Speakers } from "./speakers.js";

interface Turn {
  start: number;
  end: number;
  speaker?: string | undefined;
}

const PEAKS_A_SECOND = 50;
/** Enough to see loudness; decoding at the recording's own rate would take six times the memory. */
const SAMPLE_RATE = 8000;
/** A larger recording is shown without loudness, because the browser decodes it in one piece. */
export const MOST_BYTES = 200 * 2 ** 20;

/** The style sheet's colours, which the canvas needs as values. */
const COLOURS = ["--text", "--said", "--silence"];
for (let speaker = 0; speaker < SPEAKER_COLOURS; speaker += 1) COLOURS.push(`--speaker-${speaker}`);
for (const name of COLOURS) {
  CSS.registerProperty({ name, syntax: "<color>", inherits: true, initialValue: "gray" });
}

const BAR = 3;
const GAP = 1;
const LANE = 6;
/** Maximum share of the height for all speakers. */
const MOST_LANES = 0.35;

export async function decode(recording: ArrayBuffer): Promise<Float32Array> {
  const context = new OfflineAudioContext(1, 1, SAMPLE_RATE);
  return (await context.decodeAudioData(recording)).getChannelData(0);
}

export class Timeline {
  duration = 0;
  position = 0;
  #peaks: Float32Array = new Float32Array();
  #turns: readonly Turn[] = [];
  #drawing = false;
  #pointer: number | undefined;

  constructor(
    readonly canvas: HTMLCanvasElement,
    private readonly speakers: Speakers,
    private readonly seek: (seconds: number, play: boolean) => void,
  ) {
    new ResizeObserver(() => this.draw()).observe(canvas);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.draw());
    canvas.addEventListener("pointerdown", (event) => {
      canvas.focus();
      this.seek(this.#secondsAt(event), true);
    });
    canvas.addEventListener("pointermove", (event) => {
      this.#pointer = event.offsetX;
      canvas.title = clock(this.#secondsAt(event));
      this.draw();
    });
    canvas.addEventListener("pointerleave", () => {
      this.#pointer = undefined;
      this.draw();
    });
    canvas.addEventListener("keydown", (event) => {
      const steps: Record<string, number> = {
        PageDown: this.position - 30,
        PageUp: this.position + 30,
        Home: 0,
        End: this.duration,
      };
      const to = steps[event.key];
      if (to === undefined) return;
      event.preventDefault();
      this.seek(Math.min(this.duration, Math.max(0, to)), false);
    });
  }

  clear(): void {
    this.duration = this.position = 0;
    this.#peaks = new Float32Array();
    this.#turns = [];
    this.draw();
  }

  /** Ordered by start. */
  set turns(turns: readonly Turn[]) {
    this.#turns = turns;
    this.draw();
  }

  /** Samples from which the loudness is drawn. */
  set samples(samples: Float32Array) {
    const step = SAMPLE_RATE / PEAKS_A_SECOND;
    const peaks = new Float32Array(Math.ceil(samples.length / step));
    for (let at = 0; at < samples.length; at += 1) {
      const peak = Math.floor(at / step);
      peaks[peak] = Math.max(peaks[peak]!, Math.abs(samples[at]!));
    }
    const loudest = peaks.reduce((a, b) => Math.max(a, b), 0) || 1;
    this.#peaks = peaks.map((peak) => peak / loudest);
    this.duration ||= samples.length / SAMPLE_RATE;
    this.draw();
  }

  /** Draws once at the next frame, however often it is called. */
  draw(): void {
    if (this.#drawing) return;
    this.#drawing = true;
    requestAnimationFrame(() => {
      this.#drawing = false;
      this.#paint();
    });
  }

  #secondsAt(event: PointerEvent): number {
    return (event.offsetX / this.canvas.clientWidth) * this.duration;
  }

  #paint(): void {
    const { canvas, duration } = this;
    const { clientWidth: width, clientHeight: height } = canvas;
    canvas.setAttribute("aria-valuemin", "0");
    canvas.setAttribute("aria-valuemax", duration.toFixed(1));
    canvas.setAttribute("aria-valuenow", this.position.toFixed(1));
    canvas.setAttribute("aria-valuetext", `${clock(this.position)} of ${clock(duration)}`);
    canvas.width = width * devicePixelRatio;
    canvas.height = height * devicePixelRatio;
    const context = canvas.getContext("2d")!;
    context.scale(devicePixelRatio, devicePixelRatio);
    if (duration === 0) return;
    const style = getComputedStyle(canvas);
    const colour = (name: string): string => style.getPropertyValue(name);
    const colourOf = ({ speaker }: Turn): string =>
      speaker === undefined
        ? colour("--said")
        : colour(`--speaker-${this.speakers.colour(speaker)}`);

    const count = this.speakers.all.length;
    const lane = Math.min(LANE, (height * MOST_LANES) / count);
    const wave = count ? height - LANE - lane * count : height;
    const played = (this.position / duration) * width;
    let next = 0;
    for (let x = 0; x < width; x += BAR + GAP) {
      const [from, to] = [x, x + BAR + GAP].map((edge) => (edge / width) * duration) as [
        number,
        number,
      ];
      while ((this.#turns[next]?.end ?? Infinity) < from) next += 1;
      const turn = this.#turns[next];
      context.fillStyle = turn && turn.start < to ? colourOf(turn) : colour("--silence");
      context.globalAlpha = x < played ? 1 : 0.75;
      const tall = Math.max(2, this.#peak(from, to) * wave);
      context.beginPath();
      context.roundRect(x, (wave - tall) / 2, BAR, tall, 1.5);
      context.fill();
    }
    context.globalAlpha = 1;
    for (const turn of this.#turns) {
      if (turn.speaker === undefined) continue;
      const y = wave + LANE + lane * this.speakers.all.indexOf(turn.speaker);
      const x = (turn.start / duration) * width;
      context.fillStyle = colourOf(turn);
      context.beginPath();
      const long = Math.max(2, ((turn.end - turn.start) / duration) * width);
      context.roundRect(x, y, long, lane - GAP, lane / 2);
      context.fill();
    }
    context.fillStyle = colour("--text");
    context.fillRect(Math.min(played, width - 2), 0, 2, height);
    if (this.#pointer === undefined) return;
    context.globalAlpha = 0.35;
    context.fillRect(this.#pointer, 0, 1, height);
  }

  #peak(from: number, to: number): number {
    const [first, last] = [from, to].map((at) => Math.floor(at * PEAKS_A_SECOND)) as [
      number,
      number,
    ];
    let peak = 0;
    for (let at = first; at <= last; at += 1) peak = Math.max(peak, this.#peaks[at] ?? 0);
    return peak;
  }
}
