import assert from "node:assert/strict";
import { copyFileSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { before, test } from "node:test";
import {
  AbortError,
  RpcError,
  type LogMessage,
  type PartialTranscript,
  type Progress,
  type TranscriptionWorker,
} from "transcription-worker-client";
import { DEMO, MODEL, ROOT, SHORT, start, temporary } from "./support.js";

let worker: TranscriptionWorker;
const log: LogMessage[] = [];
before(async () => {
  worker = await start({ onLog: (message) => log.push(message) });
});

test("the worker tells of itself, and its log comes with its level", async () => {
  assert.equal(worker.initialized.serverInfo.name, "transcription-worker");
  assert.equal(worker.initialized.processId, worker.processId);
  await worker.transcribe({ audio: SHORT, model: MODEL });
  assert(log.some(({ level, message }) => level === "info" && /started as process/.test(message)));
});

test("a transcription reports progress and its segments before the result", async () => {
  const progress: Progress[] = [];
  const parts: PartialTranscript[] = [];
  const result = await worker.transcribe(
    { audio: DEMO, model: MODEL },
    { onProgress: (value) => progress.push(value), onPartial: (part) => parts.push(part) },
  );
  assert.equal(progress[0]?.kind, "begin");
  assert.equal(progress.at(-1)?.kind, "end");
  const percentages = progress.flatMap((p) => (p.kind === "report" ? [p.percentage ?? 0] : []));
  assert.deepEqual(
    percentages,
    [...percentages].sort((a, b) => a - b),
  );
  assert.equal(percentages.at(-1), 100);
  assert.deepEqual(
    parts.flatMap((part) => part.segments.map(({ id, text }) => [id, text])),
    result.segments.map(({ id, text }) => [id, text]),
  );
  assert(result.segments.length > 10);
});

test("iteration gives each part, and the result is there afterwards", async () => {
  const stream = worker.transcribeStream({ audio: DEMO, model: MODEL });
  const texts: string[] = [];
  for await (const part of stream) texts.push(...part.segments.map(({ text }) => text));
  const result = await stream.result();
  assert.deepEqual(
    texts,
    result.segments.map(({ text }) => text),
  );
});

test("the result of a stream can be had without iterating over it", async () => {
  const result = await worker.transcribeStream({ audio: DEMO, model: MODEL }).result();
  assert.match(result.text, /^blue finish eight/);
});

test("other requests are answered while a stream is read", async () => {
  for await (const _ of worker.transcribeStream({ audio: DEMO, model: MODEL })) {
    assert.deepEqual(await worker.ping(), {});
  }
});

test("to leave the iteration cancels the request", async () => {
  const stream = worker.transcribeStream({ audio: DEMO, model: MODEL });
  for await (const _ of stream) break;
  assert.deepEqual((await worker.jobs.list()).jobs, []);
  await assert.rejects(stream.result(), AbortError);
});

test("an aborted request is cancelled in the worker before it rejects", async () => {
  const controller = new AbortController();
  const { signal } = controller;
  const request = worker.transcribe(
    { audio: DEMO, model: MODEL },
    { signal, onPartial: () => controller.abort("enough") },
  );
  await assert.rejects(request, { name: "AbortError", code: "ABORT_ERR", cause: "enough" });
  assert.deepEqual((await worker.jobs.list()).jobs, []);
});

test("an aborted stream throws where it is iterated over", async () => {
  const controller = new AbortController();
  const { signal } = controller;
  const stream = worker.transcribeStream({ audio: DEMO, model: MODEL }, { signal });
  await assert.rejects(async () => {
    for await (const _ of stream) controller.abort();
  }, AbortError);
});

test("a request whose signal is aborted already is not sent", async () => {
  await assert.rejects(
    worker.transcribe({ audio: DEMO, model: MODEL }, { signal: AbortSignal.abort() }),
    AbortError,
  );
});

test("an error has its code, kind, remedy and data", async () => {
  await assert.rejects(worker.transcribe({ audio: "nowhere.wav", model: MODEL }), (error) => {
    assert(error instanceof RpcError);
    assert.equal(error.kind, "audio_not_found");
    assert.equal(error.code, -32010);
    assert.equal(error.method, "transcribe");
    assert.match(error.remedy ?? "", /path/);
    assert.equal(error.data["kind"], "audio_not_found");
    return true;
  });
});

test("an error of a stream is thrown by its iteration", async () => {
  await assert.rejects(async () => {
    for await (const _ of worker.transcribeStream({ audio: "nowhere.wav" })) assert.fail();
  }, RpcError);
});

test("params that JSON cannot hold reject their request alone", async () => {
  const params = { audio: 1n as unknown as string };
  await assert.rejects(worker.transcribe(params), TypeError);
  assert.deepEqual(await worker.ping(), {});
});

test("paths with spaces and other scripts arrive", async () => {
  const directory = temporary("Łódź 話 recordings 🎙");
  const audio = join(directory, "sprich – ein Wort.flac");
  copyFileSync(SHORT, audio);
  const { files } = await worker.transcribe({
    audio,
    model: MODEL,
    formats: ["txt"],
    outputDir: directory,
  });
  assert.equal(files?.[0]?.path, join(directory, "sprich – ein Wort.txt"));
  assert.notEqual(readFileSync(files[0].path, "utf8").trim(), "");
});

test("a result of 10 MB arrives whole", async () => {
  const text = `ein Wort — 話す 🎙 ${"x".repeat(150)}`;
  const segments = Array.from({ length: 60_000 }, (_, start) => ({ start, end: start + 1, text }));
  const { contents } = await worker.export({ transcript: { segments }, formats: ["txt"] });
  assert(Buffer.byteLength(contents!["txt"]!) > 10_000_000);
  assert.equal(contents!["txt"], `${text}\n`.repeat(segments.length));
});

test("more than the pipe holds can be asked for at once, and is answered in order", async () => {
  const order: number[] = [];
  const requests = Array.from({ length: 20_000 }, (_, i) =>
    worker.ping().then(() => order.push(i)),
  );
  await Promise.all(requests);
  assert.deepEqual(
    order,
    Array.from({ length: 20_000 }, (_, i) => i),
  );
});

test("every method of the contract can be asked for", () => {
  const contract = JSON.parse(readFileSync(join(ROOT, "protocol/openrpc.json"), "utf8")) as {
    methods: { name: string }[];
  };
  for (const { name } of contract.methods) {
    if (name === "initialize") continue; // is sent by spawn
    const found = name
      .split(/[./]/)
      .reduce<unknown>((at, part) => (at as Record<string, unknown>)[part], worker);
    assert.equal(typeof found, "function", name);
  }
});
