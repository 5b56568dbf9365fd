/** Hears the microphone: samples of one channel, in chunks of about 100 ms. */
import type { Failure } from "../api.js";

/** The worker's limit. */
const HIGHEST_RATE = 48_000;
/** How long to wait for the last samples of an audio thread that hangs. */
const LAST_MS = 500;

/** Unprocessed, as models are trained on it: what helps in a call hides words. */
const WANTED: MediaTrackConstraints = {
  channelCount: 1,
  echoCancellation: false,
  noiseSuppression: false,
  autoGainControl: false,
};

export class Microphone {
  #ended: () => void = () => {};
  #stopped: Promise<void> | undefined;

  private constructor(
    private readonly stream: MediaStream,
    private readonly context: AudioContext,
    private readonly recorder: AudioWorkletNode,
  ) {
    for (const track of stream.getTracks()) track.onended = () => void this.#ended();
  }

  /** Asks for the user's permission, if there is none yet. */
  static async open(): Promise<Microphone> {
    const stream = await navigator.mediaDevices.getUserMedia({ audio: WANTED });
    let context: AudioContext | undefined;
    try {
      context = new AudioContext();
      if (context.sampleRate > HIGHEST_RATE) {
        void context.close();
        context = new AudioContext({ sampleRate: HIGHEST_RATE });
      }
      await context.audioWorklet.addModule("worklet.js");
      return new Microphone(stream, context, new AudioWorkletNode(context, "recorder"));
    } catch (error) {
      release(stream, context);
      throw error;
    }
  }

  get sampleRate(): number {
    return this.context.sampleRate;
  }

  /** Begins; `ended` is called if the microphone goes away. */
  start(hear: (samples: Float32Array) => void, ended: () => void): void {
    this.#ended = ended;
    this.recorder.port.onmessage = ({ data }) => hear(data as Float32Array);
    // The recorder is silent, but unless something listens to it the browser does not run it.
    this.context.createMediaStreamSource(this.stream).connect(this.recorder);
    this.recorder.connect(this.context.destination);
    void this.context.resume();
  }

  /** Resolves when the last samples were heard and the microphone is free. */
  stop(): Promise<void> {
    return (this.#stopped ??= this.#stop());
  }

  async #stop(): Promise<void> {
    const { port } = this.recorder;
    const hear = port.onmessage;
    await new Promise<void>((resolve) => {
      setTimeout(resolve, LAST_MS);
      port.onmessage = (event) => (event.data === null ? resolve() : hear?.call(port, event));
      port.postMessage("stop");
    });
    port.onmessage = null;
    release(this.stream, this.context);
  }
}

function release(stream: MediaStream, context: AudioContext | undefined): void {
  for (const track of stream.getTracks()) track.stop();
  if (context && context.state !== "closed") void context.close();
}

const REASONS: Record<string, readonly [message: string, remedy: string]> = {
  NotAllowedError: [
    "This application may not use the microphone.",
    "Allow it in the privacy settings of the system, then press Record again.",
  ],
  NotFoundError: ["There is no microphone.", "Connect one, then press Record again."],
  NotReadableError: [
    "The microphone does not work, or another application uses it alone.",
    "Close other applications that use it, or connect it again.",
  ],
};

/** Why there is no sound, in words for the user. */
export function unheard(error: unknown): Failure {
  const { name, message } = error as DOMException;
  const [what, remedy] = REASONS[name] ?? [message, "Try another microphone."];
  return { kind: "microphone", message: what, remedy, detail: null };
}
