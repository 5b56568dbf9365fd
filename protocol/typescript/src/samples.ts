import { endianness } from "node:os";
import type { LiveTranscribeParams } from "./types.js";

/** Audio of one channel: floats from -1 to 1, or 16-bit integers. */
export type Samples = Float32Array | Int16Array;

const STEPS = 32_768;
const SWAPPED = endianness() === "BE";

/** The samples in a stream's format, little-endian, in base64. */
export function encode(samples: Samples, format: LiveTranscribeParams["format"]): string {
  const wanted = format === "float32" ? asFloats(samples) : asIntegers(samples);
  const { buffer, byteOffset, byteLength } = wanted;
  const bytes = Buffer.from(buffer, byteOffset, byteLength);
  if (!SWAPPED) return bytes.toString("base64");
  const copy = Buffer.from(bytes);
  return (format === "float32" ? copy.swap32() : copy.swap16()).toString("base64");
}

/** What is beyond -1 and 1 is clipped, and what is no number is silence. */
function asIntegers(samples: Samples): Int16Array {
  if (samples instanceof Int16Array) return samples;
  const integers = new Int16Array(samples.length);
  for (let i = 0; i < samples.length; i += 1) {
    const value = Math.round(samples[i]! * STEPS);
    integers[i] = Math.max(-STEPS, Math.min(STEPS - 1, value)); // NaN becomes 0
  }
  return integers;
}

function asFloats(samples: Samples): Float32Array {
  const floats = new Float32Array(samples.length);
  const scale = samples instanceof Int16Array ? 1 / STEPS : 1;
  for (let i = 0; i < samples.length; i += 1) floats[i] = samples[i]! * scale || 0; // NaN becomes 0
  return floats;
}
