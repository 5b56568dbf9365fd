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

function refusal(id: number): Buffer {
  const error = { code: -32800, message: "The request was cancelled." };
  return Buffer.from(`${JSON.stringify({ jsonrpc: "2.0", id, error })}\n`);
}

let cancelled = 0;

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
