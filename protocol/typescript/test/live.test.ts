import assert from "node:assert/strict";
import { existsSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import {
  type LiveSegment,
  type LiveStream,
  type PartialLive,
  type Progress,
  type Samples,
  type TranscriptionWorker,
} from "transcription-worker-client";
import { DEMO, killer, MODEL, samplesOf, SHORT, start, startFake, temporary } from "./support.js";

interface Heard {
  method: string;
  stream: string;
  audio: string;
  at?: number;
  request: boolean;
  refused?: number;
}

/** What the fake worker heard of a stream after its params. */
async function heard(live: LiveStream): Promise<Heard[]> {
  const [, ...rest] = ((await live.finish()) as unknown as { heard: Heard[] }).heard;
  return rest.filter(({ method }) => method !== "live/finish");
}

function integers({ audio }: Heard): number[] {
  const bytes = Buffer.from(audio, "base64");
  return Array.from({ length: bytes.length / 2 }, (_, i) => bytes.readInt16LE(2 * i));
}

function floats({ audio }: Heard): number[] {
  const bytes = Buffer.from(audio, "base64");
  return Array.from({ length: bytes.length / 4 }, (_, i) => bytes.readFloatLE(4 * i));
}

/** Unhandled rejections fail a test of node:test by themselves; this waits until they would. */
const settle = (): Promise<void> => sleep(20);

test("audio arrives whole and in order, whether pushed or written", async () => {
  const worker = await startFake("live");
  const live = worker.live({ model: "tiny" });
  const array = new Int16Array(3);
  for (let i = 0; i < 5; i += 1) {
    array.fill(i); // one array for all, as an application may have
    if (i % 2) void live.write(array);
    else live.push(array);
  }
  void live.commit();
  live.push(new Int16Array([7]));
  const all = await heard(live);
  assert.deepEqual(
    all.map((each) => [each.method, each.request, each.audio && integers(each)]),
    [
      ["live/append", false, [0, 0, 0]],
      ["live/append", true, [1, 1, 1]],
      ["live/append", false, [2, 2, 2]],
      ["live/append", true, [3, 3, 3]],
      ["live/append", false, [4, 4, 4]],
      ["live/commit", true, undefined],
      ["live/append", false, [7]],
    ],
  );
  assert(all.every(({ at }) => at === undefined));
});

test("the params are sent as they are, with tokens and a name of its own", async () => {
  const worker = await startFake("live");
  const streams = [worker.live({ endSilence: 1 }, { onProgress() {} }), worker.live()];
  const [one, other] = await Promise.all(
    streams.map(async (live) => ((await live.finish()) as unknown as { heard: object[] }).heard[0]),
  );
  assert.deepEqual(one, {
    endSilence: 1,
    stream: streams[0]!.stream,
    progressToken: "progress-2",
    partialResultToken: "partial-2",
  });
  assert.deepEqual(other, { stream: streams[1]!.stream, partialResultToken: "partial-3" });
  assert.notEqual(streams[0]!.stream, streams[1]!.stream);
});

test("floats become integers: clipped, rounded, and silence where they are no numbers", async () => {
  const worker = await startFake("live");
  const live = worker.live();
  const given = [0, 0.5, -0.5, 1, -1, 1.5, -7, 1 / 65_536, NaN, Infinity, -Infinity];
  live.push(new Float32Array(given));
  live.push(new Int16Array([0, 1, -1, 32_767, -32_768]));
  const [one, other] = await heard(live);
  assert.deepEqual(
    integers(one!),
    [0, 16_384, -16_384, 32_767, -32_768, 32_767, -32_768, 1, 0, 32_767, -32_768],
  );
  assert.deepEqual(integers(other!), [0, 1, -1, 32_767, -32_768]);
});

test("a stream of floats has them unclipped, and integers as floats", async () => {
  const worker = await startFake("live");
  const live = worker.live({ format: "float32" });
  live.push(new Float32Array([0.25, -1.5, NaN]));
  live.push(new Int16Array([16_384, -32_768]));
  assert.deepEqual((await heard(live)).map(floats), [
    [0.25, -1.5, 0],
    [0.5, -1],
  ]);
});

test("a view of a larger array sends its part alone", async () => {
  const worker = await startFake("live");
  const whole = new ArrayBuffer(64);
  new Int16Array(whole).forEach((_, i, all) => (all[i] = i));
  const live = worker.live();
  live.push(new Int16Array(whole, 6, 4));
  live.push(new Float32Array(new Float32Array(8).fill(1).fill(0.5, 3, 5).buffer, 12, 2));
  live.push(new Int16Array(0));
  assert.deepEqual((await heard(live)).map(integers), [
    [3, 4, 5, 6],
    [16_384, 16_384],
  ]);
});

test("long audio is sent in pieces, each with its time if the first had one", async () => {
  const worker = await startFake("live");
  const live = worker.live({ sampleRate: 8000 });
  live.push(new Int16Array(20_000));
  live.push(new Int16Array(12_000), 10);
  live.push(new Int16Array(8));
  const all = await heard(live);
  assert.deepEqual(
    all.map((each) => [integers(each).length, each.at]),
    [
      [8000, undefined],
      [8000, undefined],
      [4000, undefined],
      [8000, 10],
      [4000, 11],
      [8, undefined],
    ],
  );
});

test("a file is written no faster than the worker takes it, and nothing is lost", async () => {
  const worker = await startFake("busy");
  const live = worker.live({ maxBacklog: 1 });
  const samples = Int16Array.from({ length: 10 * 16_000 }, (_, i) => i % 30_000);
  const begin = Date.now();
  for (let at = 0; at < samples.length; at += 2000) {
    const written = live.write(samples.subarray(at, at + 2000));
    if (at % 4000) await written; // every other one is not awaited
  }
  const all = await heard(live);
  assert(Date.now() - begin > 400, "ten seconds of audio take this worker half a second");
  const taken = all.filter(({ refused }) => refused === undefined);
  assert.deepEqual(taken.flatMap(integers), [...samples]);
});

test("audio that a worker did not read in time is a hole, whose end is told", async () => {
  const worker = await startFake("live");
  const live = worker.live({ maxBacklog: 2 });
  await worker.ping();
  process.kill(worker.processId!, "SIGSTOP");
  const half = (value: number): Int16Array => new Int16Array(8000).fill(value);
  for (let i = 0; i < 40; i += 1) {
    live.push(half(i));
    await sleep(1);
  }
  process.kill(worker.processId!, "SIGCONT");
  await worker.ping();
  live.push(half(40));
  const all = (await heard(live)).map((each) => [integers(each)[0], each.at]);
  const before = all.slice(0, -1);
  assert(before.length >= 4 && before.length < 40, String(before.length));
  assert.deepEqual(
    before,
    before.map((_, i) => [i, undefined]),
  );
  assert.deepEqual(all.at(-1), [40, 20]);
});

test("iteration gives what changed, and what one missed comes as one part", async () => {
  const worker = await startFake("live");
  const live = worker.live();
  await live.commit();
  const finished = live.finish();
  const parts: PartialLive[] = [];
  for await (const part of live) parts.push(part);
  assert.deepEqual(
    parts.flatMap(({ segments }) => segments.map(({ id, text, final }) => [id, text, final])),
    [
      [0, "white open", true],
      [1, "", true],
      [2, "yellow", false],
    ],
  );
  assert.equal(await finished, await live.result());
});

test("the segments are the newest ones, without those that came to nothing", async () => {
  const worker = await startFake("live");
  const seen: string[][] = [];
  const live = worker.live({}, { onPartial: () => seen.push(live.segments.map((s) => s.text)) });
  await live.commit();
  assert.deepEqual(seen, [
    ["white"],
    ["white open"],
    ["white open", "noise"],
    ["white open", "yellow"],
  ]);
  assert.equal(live.segments, live.segments);
  await live.finish();
  assert.equal(live.segments.length, 2);
});

test("two streams do not mix", async () => {
  const worker = await startFake("live");
  const [one, other] = [worker.live(), worker.live()];
  for (let i = 0; i < 4; i += 1) {
    one.push(new Int16Array([i]));
    void other.write(new Int16Array([-i]));
  }
  assert.deepEqual((await heard(one)).flatMap(integers), [0, 1, 2, 3]);
  assert.deepEqual(
    (await heard(other)).flatMap(integers),
    [0, -1, -2, -3].map((i) => i + 0),
  );
});

async function isOver(live: LiveStream, error: object): Promise<void> {
  const audio: Samples = new Int16Array(1);
  live.push(audio);
  await assert.rejects(live.write(audio), error);
  await assert.rejects(live.commit(), error);
  await assert.rejects(live.result(), error);
  await assert.rejects(live.finish(), error);
  await assert.rejects(live.next(), error);
}

test("a cancelled stream is confirmed, and takes no more audio", async () => {
  const worker = await startFake("live");
  const live = worker.live();
  const written = live.write(new Int16Array(100_000));
  await live.cancel();
  await assert.rejects(written, { name: "AbortError" });
  await isOver(live, { name: "AbortError" });
  assert.deepEqual(await worker.ping(), {});
});

test("a signal, and leaving the iteration, cancel a stream", async () => {
  const worker = await startFake("live");
  const controller = new AbortController();
  const live = worker.live({}, { signal: controller.signal });
  controller.abort("enough");
  await assert.rejects(live.result(), { name: "AbortError", cause: "enough" });
  const left = worker.live();
  void left.commit();
  for await (const _ of left) break;
  await isOver(left, { name: "AbortError" });
});

test("a finished stream takes no more audio, and has its result still", async () => {
  const worker = await startFake("live");
  const live = worker.live();
  live.push(new Int16Array([1]));
  const finished = live.finish();
  live.push(new Int16Array([2]));
  await assert.rejects(live.write(new Int16Array([3])), /has ended/);
  const { heard } = (await finished) as unknown as { heard: Heard[] };
  assert.deepEqual(
    heard.slice(1).map(({ method }) => method),
    ["live/append", "live/finish"],
  );
  assert.equal(await live.finish(), await finished);
  await assert.rejects(live.commit(), /has ended/);
  assert.deepEqual(await live.next(), { value: undefined, done: true });
});

test("a stream that the worker refuses rejects, and no one needs to look", async () => {
  const worker = await startFake("hollow");
  const live = worker.live();
  live.push(new Int16Array(1));
  void live.write(new Int16Array(1));
  void live.commit();
  void live.finish();
  await settle();
  await isOver(live, { name: "ProtocolError" });
});

test("a stream ends with its worker: it is not begun again without its audio", async () => {
  const exits: Error[] = [];
  const worker = await startFake("fragile", {
    restart: { delayMs: 1 },
    onExit: (error) => exits.push(error),
  });
  const live = worker.live();
  await worker.ping();
  const written = live.write(new Int16Array(100_000));
  void live.commit();
  live.push(new Int16Array(1));
  await assert.rejects(written, { name: "WorkerEndedError", exitCode: 3 });
  const error = await live.result().catch((reason: unknown) => reason as Error);
  await isOver(live, error as Error);
  assert.deepEqual(await worker.ping(), {});
  await settle();
  assert.equal(exits.length, 1, "nothing of the stream reached the next worker");
});

test("a stream that begins while the worker restarts loses none of its audio", async () => {
  const worker = await startFake("live", { restart: { delayMs: 50 } });
  const ended = worker.live();
  process.kill(worker.processId!, "SIGKILL");
  await assert.rejects(ended.result(), { name: "WorkerEndedError" });
  const live = worker.live();
  const cancelled = worker.live();
  cancelled.push(new Int16Array([9]));
  live.push(new Int16Array([1]));
  void live.write(new Int16Array([2]));
  await cancelled.cancel();
  live.push(new Int16Array([3]));
  assert.deepEqual((await heard(live)).flatMap(integers), [1, 2, 3]);
});

test("closing the worker ends its streams", async () => {
  const worker: TranscriptionWorker = await startFake("live");
  const live = worker.live();
  live.push(new Int16Array([1]));
  await worker.close();
  await isOver(live, { name: "WorkerEndedError" });
});

const TENTH = 1600;

/** Sends a recording as a microphone would. */
async function speak(live: LiveStream, samples: Int16Array): Promise<void> {
  for (let at = 0; at < samples.length; at += TENTH) {
    live.push(samples.subarray(at, at + TENTH));
    await sleep(100);
  }
}

function bytesOf({ buffer, byteOffset, byteLength }: Int16Array): Buffer {
  return Buffer.from(buffer, byteOffset, byteLength);
}

function finalWords({ words }: LiveSegment): string {
  return words
    .filter((word) => word.final)
    .map(({ word }) => word)
    .join("");
}

test("what is said to the real worker is shown meanwhile, and what is final stays", async () => {
  const worker = await start();
  const record = join(temporary(), "kept.wav");
  const progress: Progress[] = [];
  const params = { model: MODEL, language: "en", record };
  const live = worker.live(params, { onProgress: (value) => progress.push(value) });
  const samples = samplesOf(SHORT);
  void speak(live, samples).then(() => live.finish());
  const seen = new Map<number, LiveSegment>();
  let interims = 0;
  for await (const { segments } of live) {
    for (const segment of segments) {
      const before = seen.get(segment.id);
      if (before) assert(finalWords(segment).startsWith(finalWords(before)));
      if (before?.final) assert.equal(segment.text, before.text);
      if (!segment.final) interims += 1;
      seen.set(segment.id, segment);
    }
  }
  assert(interims > 1, `${interims} interims`);
  const result = await live.result();
  assert.deepEqual(
    live.segments.map(({ id, text, final }) => [id, text, final]),
    result.segments.map(({ id, text }) => [id, text, true]),
  );
  assert.match(result.text, /white open/);
  assert.deepEqual(result.gaps, []);
  assert(Math.abs(result.duration - samples.length / 16_000) < 0.01);
  assert.equal(result.recording, record);
  assert(readFileSync(record).subarray(-samples.byteLength).equals(bytesOf(samples)));
  const stages = progress.flatMap((each) => (each.kind === "report" ? [each] : []));
  const at = (stage: string, speech?: string): number =>
    stages.findIndex((each) => each.stage === stage && (each.speech ?? undefined) === speech);
  assert(at("ready") >= 0 && at("ready") < at("speech", "started"));
  assert(at("speech", "started") < at("speech", "ended"));
});

test("the real worker takes a file as fast as it can, and none of it is lost", async () => {
  const worker = await start();
  const live = worker.live({ model: MODEL, language: "en", maxBacklog: 4, interim: false });
  const samples = samplesOf(DEMO).map((sample) => sample / 2);
  for (let at = 0; at < samples.length; at += 40_000) {
    await live.write(Float32Array.from(samples.subarray(at, at + 40_000), (s) => s / 32_768));
  }
  const result = await live.finish();
  assert.deepEqual(result.gaps, []);
  assert(Math.abs(result.duration - samples.length / 16_000) < 0.01);
  assert.match(result.text, /^blue finish eight/);
});

test("two streams, a commit and silence, in the real worker", async () => {
  const worker = await start();
  const params = { model: MODEL, language: "en" };
  const [one, quiet] = [worker.live(params), worker.live(params)];
  await assert.rejects(worker.live({ ...params, stream: one.stream }).result(), {
    name: "RpcError",
    kind: "live_stream_exists",
  });
  await one.write(samplesOf(SHORT).subarray(0, 25_000));
  const committed = await one.commit();
  assert(Math.abs(committed.audioReceived - 25 / 16) < 0.01);
  await quiet.write(new Float32Array(32_000));
  const [said, nothing] = await Promise.all([one.finish(), quiet.finish()]);
  assert.match(said.text, /white open/);
  assert.equal(nothing.text, "");
  assert.equal(nothing.latency, null);
  assert.deepEqual(quiet.segments, []);
});

test("to cancel ends the stream in the real worker, and keeps the recording", async () => {
  const worker = await start();
  const record = join(temporary(), "kept.wav");
  let ready = (): void => {};
  const begun = new Promise<void>((resolve) => (ready = resolve));
  const onProgress = (value: Progress): void => {
    if (value.kind === "report" && value.stage === "ready") ready();
  };
  const live = worker.live({ model: MODEL, record }, { onProgress });
  const samples = samplesOf(SHORT);
  await live.write(samples);
  await begun;
  await live.cancel();
  assert.deepEqual((await worker.jobs.list()).jobs, []);
  await assert.rejects(live.finish(), { name: "AbortError" });
  assert(readFileSync(record).subarray(-samples.byteLength).equals(bytesOf(samples)));
});

test("a stream of a killed worker rejects once, and the next stream works", async () => {
  const worker = await start({ restart: { delayMs: 1 } });
  const record = join(temporary(), "kept.wav");
  const params = { model: MODEL, language: "en" };
  const live = worker.live({ ...params, record }, { onPartial: killer(worker) });
  const samples = samplesOf(SHORT);
  const spoken = speak(live, samples);
  await assert.rejects(live.result(), { name: "WorkerEndedError", signal: "SIGKILL" });
  assert(live.segments.length > 0, "what was known stays");
  assert(existsSync(record) && statSync(record).size > 16_000);
  const next = worker.live(params);
  await next.write(samples);
  assert.match((await next.finish()).text, /white open/);
  await spoken;
});

test("a model that is not there rejects the stream with its remedy", async () => {
  const worker = await start();
  const live = worker.live({ model: join(temporary(), "absent") });
  live.push(new Int16Array(16_000));
  await assert.rejects(live.finish(), (error: Error & { kind?: string; remedy?: string }) => {
    assert.match(String(error.kind), /^model_/);
    return Boolean(error.remedy);
  });
});
