/** Runs on the browser's audio thread: sends what the microphone hears, as one channel, in chunks. */

// The audio thread's own names, which TypeScript's library lacks.
declare const sampleRate: number;
declare function registerProcessor(name: string, processor: new () => object): void;
declare class AudioWorkletProcessor {
  readonly port: MessagePort;
}

const CHUNK_SECONDS = 0.1;

class Recorder extends AudioWorkletProcessor {
  #chunk = new Float32Array(Math.round(sampleRate * CHUNK_SECONDS));
  #filled = 0;
  #stopped = false;

  constructor() {
    super();
    // The page asks for the rest, which null ends.
    this.port.onmessage = () => {
      this.#stopped = true;
      this.#send();
      this.port.postMessage(null);
    };
  }

  /** Is called for each 128 samples; the answer is whether to go on. */
  process([channels = []]: Float32Array[][]): boolean {
    if (this.#stopped) return false;
    const length = channels[0]?.length ?? 0;
    for (let at = 0; at < length; at += 1) {
      let sum = 0;
      for (const channel of channels) sum += channel[at]!;
      this.#chunk[this.#filled] = sum / channels.length;
      this.#filled += 1;
      if (this.#filled === this.#chunk.length) this.#send();
    }
    return true;
  }

  #send(): void {
    const heard = this.#chunk.slice(0, this.#filled);
    this.#filled = 0;
    if (heard.length > 0) this.port.postMessage(heard, [heard.buffer]);
  }
}

registerProcessor("recorder", Recorder);
