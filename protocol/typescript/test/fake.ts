// A worker that does what no worker should; the argument says what.

import { writeSync } from "node:fs";
import { createInterface } from "node:readline";

const behaviour = process.argv[2]!;

/** Writes all of it, whatever the pipe takes at once. */
function write(bytes: Buffer): void {
  for (let done = 0; done < bytes.length;) {
    try {
      done += writeSync(1, bytes.subarray(done));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "EAGAIN") throw error;
    }
  }
}

function reply(id: number, result: unknown): void {
  write(Buffer.from(`${JSON.stringify({ jsonrpc: "2.0", id, result })}\n`));
}

function refusal(id: number, error: object = CANCELLED): Buffer {
  return Buffer.from(`${JSON.stringify({ jsonrpc: "2.0", id, error })}\n`);
}

const CANCELLED = { code: -32800, message: "The request was cancelled." };
const OVERRUN = { code: -32043, message: "The backlog is full.", data: { kind: "live_overrun" } };
const UNKNOWN = { code: -32041, message: "No stream.", data: { kind: "live_stream_unknown" } };

function notify(params: object): void {
  write(Buffer.from(`${JSON.stringify({ jsonrpc: "2.0", method: "$/progress", params })}\n`));
}

let cancelled = 0;

/** A stream: the id of its request, and what it heard, which is the result. */
interface Stream {
  id: number;
  heard: object[];
  /** Seconds of audio that waits; a second takes 50 ms. */
  backlog: number;
  at: number;
}
const streams = new Map<string, Stream>();
const MAX_BACKLOG = 1;

function segment(id: number, text: string, final: boolean): object {
  return { id, start: id, end: id + 1, text, language: "en", final, words: [] };
}

const behaviours: Record<string, (id: number, method: string, params: object) => void> = {
  babble(id) {
    write(Buffer.from("Loading checkpoint shards…\n[1]\n17\n\n"));
    write(Buffer.from(`{"jsonrpc":"2.0","id":${id},"result":"\xff"}\n`, "latin1"));
    write(Buffer.from('{"jsonrpc":"2.0","id":999,"result":{}}\n'));
    reply(id, { well: true });
  },
  drip(id) {
    const line = { jsonrpc: "2.0", id, result: { text: "ärger, 話す, 🎙\u2028\r" } };
    for (const byte of Buffer.from(`${JSON.stringify(line)}\r\n`)) write(Buffer.from([byte]));
  },
  hollow(id) {
    write(Buffer.from(`{"jsonrpc":"2.0","id":${id}}\n`));
  },
  // Cancels when the next ping comes.
  hesitate(id, method, params) {
    if (method === "$/cancelRequest") cancelled = (params as { id: number }).id;
    else if (method === "jobs/list") reply(id, {});
    else if (method === "ping") {
      write(refusal(cancelled));
      reply(id, {});
    }
  },
  poisonable(id, method) {
    if (method === "ping") reply(id, {});
    else process.exit(3);
  },
  // Hears, and answers at the end. At each commit, a segment becomes final and another nothing.
  live(id, method, params) {
    const { stream, audio } = params as { stream: string; audio?: string };
    const known = streams.get(stream);
    if (method === "ping") reply(id, {});
    else if (method === "live/transcribe") {
      streams.set(stream, { id, heard: [params], backlog: 0, at: Date.now() });
    } else if (method === "$/cancelRequest") {
      const of = (params as { id: number }).id;
      for (const [name, each] of streams) if (each.id === of) streams.delete(name);
      write(refusal(of));
    } else if (known === undefined) {
      if (id !== undefined) write(refusal(id, UNKNOWN));
    } else {
      const now = Date.now();
      known.backlog = Math.max(0, known.backlog - (now - known.at) / 50);
      known.at = now;
      const seconds = (((audio?.length ?? 0) / 4) * 3) / 2 / 16_000;
      if (behaviour === "busy" && known.backlog + seconds > MAX_BACKLOG) {
        known.heard.push({ refused: seconds });
        return write(refusal(id, OVERRUN));
      }
      known.backlog += seconds;
      known.heard.push({ method, ...params, request: id !== undefined });
      if (method === "live/commit") {
        const token = `partial-${known.id}`;
        for (const segments of [
          [segment(0, "white", false)],
          [segment(0, "white open", true)],
          [segment(1, "noise", false)],
          [segment(1, "", true), segment(2, "yellow", false)],
        ]) {
          const value = { language: "en", audioReceived: 2, audioDecoded: 1, lag: 0, segments };
          notify({ token, value });
        }
      }
      const { backlog } = known;
      if (id !== undefined) reply(id, { audioReceived: 0, audioDecoded: 0, backlog });
      if (method === "live/finish") {
        streams.delete(stream);
        reply(known.id, { heard: known.heard });
      }
    }
  },
  // The same, but with room for a second of audio.
  busy(id, method, params) {
    behaviours["live"]!(id, method, params);
  },
  // Ends when the first audio comes.
  fragile(id, method, params) {
    if (method === "live/append") process.exit(3);
    behaviours["live"]!(id, method, params);
  },
  die() {
    process.stderr.write("no luck\n", () => process.exit(3));
  },
};

createInterface({ input: process.stdin }).on("line", (line) => {
  const { id, method, params } = JSON.parse(line) as { id: number; method: string; params: object };
  if (behaviour === "mute") return;
  if (method === "initialize") reply(id, { processId: process.pid, params });
  else behaviours[behaviour]?.(id, method, params);
});
