import assert from "node:assert/strict";
import { PassThrough, Readable, Writable } from "node:stream";
import { test } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import { Call } from "../dist/call.js";
import { bundledWorker, unpackedPath } from "../dist/electron.js";
import { LineSplitter } from "../dist/framing.js";
import { Connection } from "../dist/rpc.js";
import { HIGH_WATER_PARTS, PartsReader } from "../dist/stream.js";

const DEAF = { onLog() {}, onError: assert.fail, onAnswer() {} };
const PARTS = 2000;

function line(message: object): Buffer {
  return Buffer.from(`${JSON.stringify({ jsonrpc: "2.0", ...message })}\n`);
}

/** What a worker writes to request 1, and how much of it was read. */
function partsOf(written: { parts: number }): Readable {
  function* lines(): Generator<Buffer> {
    for (; written.parts < PARTS; written.parts += 1) {
      const value = { part: written.parts, text: "x".repeat(10_000) };
      yield line({ method: "$/progress", params: { token: "partial-1", value } });
    }
    yield line({ id: 1, result: "all" });
  }
  return Readable.from(lines(), { objectMode: true, highWaterMark: 1 });
}

function streamOver(input: Readable): {
  connection: Connection;
  reader: PartsReader<{ part: number }, string>;
} {
  const connection = new Connection(input, new PassThrough().resume(), DEAF);
  const reader = new PartsReader<{ part: number }, string>();
  const call = new Call(1, "transcribe", {}, { onPartial: reader.take });
  reader.attach(call, { cancel: () => connection.cancel(call), flow: () => connection.flow() });
  connection.send(call);
  return { connection, reader };
}

async function settled(written: { parts: number }): Promise<number> {
  for (let seen = -1, calm = 0; calm < 50; seen = written.parts) {
    await turn();
    calm = written.parts === seen ? calm + 1 : 0;
  }
  return written.parts;
}

test("a slow consumer makes the worker wait, and loses nothing", async () => {
  const written = { parts: 0 };
  const { reader } = streamOver(partsOf(written));
  await reader.next();
  assert((await settled(written)) < 2 * HIGH_WATER_PARTS);
  let next = 1;
  for await (const { part } of reader) assert.equal(part, next++);
  assert.equal(next, PARTS);
  assert.equal(await reader.result(), "all");
});

test("a slow consumer does not keep the answer of another request back", async () => {
  const input = new PassThrough();
  const { connection, reader } = streamOver(input);
  for (let part = 0; part < 2 * HIGH_WATER_PARTS; part += 1) {
    input.write(line({ method: "$/progress", params: { token: "partial-1", value: { part } } }));
  }
  await turn();
  assert(input.isPaused());
  const other = new Call(2, "ping", {});
  connection.send(other);
  input.write(line({ id: 2, result: {} }));
  assert.deepEqual(await other.answer, {});
  assert.deepEqual(await reader.next(), { value: { part: 0 }, done: false });
});

test("an aborted stream that nobody reads gets its answer", async () => {
  const input = new PassThrough();
  const output = new PassThrough().setEncoding("utf8");
  const connection = new Connection(input, output, DEAF);
  const reader = new PartsReader<number, string>();
  const call = new Call(1, "transcribe", {}, { onPartial: reader.take });
  reader.attach(call, { cancel: () => {}, flow: () => connection.flow() });
  connection.send(call);
  for (let part = 0; part < HIGH_WATER_PARTS; part += 1) {
    input.write(line({ method: "$/progress", params: { token: "partial-1", value: part } }));
  }
  await turn();
  assert(input.isPaused());
  call.abort();
  connection.cancel(call);
  assert.match(String(output.read()), /"\$\/cancelRequest","params":\{"id":1\}/);
  input.write(line({ id: 1, error: { code: -32800, message: "" } }));
  await assert.rejects(reader.next(), { name: "AbortError" });
});

test("to ask for the result alone reads on", async () => {
  const written = { parts: 0 };
  const { reader } = streamOver(partsOf(written));
  await settled(written);
  assert.equal(await reader.result(), "all");
  assert.equal(written.parts, PARTS);
});

test("requests wait unwritten while the worker does not read, and may be aborted there", async () => {
  const written: string[] = [];
  let release = (): void => {};
  const output = new Writable({
    highWaterMark: 1000,
    write(chunk: Buffer, _encoding, done) {
      written.push(chunk.toString());
      release = done;
    },
  });
  const connection = new Connection(new PassThrough(), output, DEAF);
  const calls = [1, 2, 3].map((id) => new Call(id, "transcribe", { audio: "x".repeat(1000) }));
  for (const call of calls) connection.send(call);
  assert.deepEqual(
    calls.map((call) => call.sent),
    [1, 0, 0],
  );
  calls[1]!.abort();
  connection.cancel(calls[1]!);
  await assert.rejects(calls[1]!.answer, { name: "AbortError" });
  release();
  await turn();
  assert.deepEqual(
    calls.map((call) => call.sent),
    [1, 0, 1],
  );
  assert.deepEqual(
    written.map((each) => (JSON.parse(each) as { id: number }).id),
    [1, 3],
  );
});

test("lines are cut at 0x0A alone, wherever the chunks are", () => {
  const bytes = Buffer.from("é\u2028\r|\n\n話す\n🎙");
  for (let size = 1; size <= bytes.length; size += 1) {
    const splitter = new LineSplitter();
    const lines: string[] = [];
    for (let at = 0; at < bytes.length; at += size) {
      for (const each of splitter.push(bytes.subarray(at, at + size))) {
        lines.push(Buffer.from(each).toString());
      }
    }
    assert.deepEqual(lines, ["é\u2028\r|", "話す"]);
  }
});

test("each byte of a long line is copied once", (context) => {
  const concat = context.mock.method(Buffer, "concat");
  const splitter = new LineSplitter();
  const chunk = Buffer.alloc(4096, "x");
  for (let i = 0; i < 4096; i += 1) assert.deepEqual([...splitter.push(chunk)], []);
  const [whole] = [...splitter.push(Buffer.from("\n"))];
  assert.equal(whole?.length, 4096 * 4096);
  assert.equal(concat.mock.callCount(), 1);
});

test("a program within app.asar is taken from where it was unpacked", () => {
  assert.equal(
    unpackedPath("/opt/My App/app.asar/bin/worker"),
    "/opt/My App/app.asar.unpacked/bin/worker",
  );
  assert.equal(
    unpackedPath("C:\\App\\app.asar\\bin\\w.exe"),
    "C:\\App\\app.asar.unpacked\\bin\\w.exe",
  );
  for (const path of ["/a/app.asar.unpacked/w", "/a/my-app.asar/w", "/a/b/w", "w"]) {
    assert.equal(unpackedPath(path), path);
  }
});

test("a packaged application finds its worker among its resources", () => {
  assert.equal(
    bundledWorker({ resourcesPath: "/App/Resources", platform: "darwin" }),
    "/App/Resources/transcription-worker/transcription-worker",
  );
  assert.equal(
    bundledWorker({ resourcesPath: "C:\\App\\resources", directory: "bin", platform: "win32" }),
    "C:\\App\\resources\\bin\\transcription-worker.exe",
  );
  assert.throws(() => bundledWorker(), /Outside Electron/);
});
