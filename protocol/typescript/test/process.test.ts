import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { test } from "node:test";
import { ProtocolError, TranscriptionWorker, WorkerEndedError } from "transcription-worker-client";
import { DEMO, killer, left, MODEL, start, startFake, temporary, tree, WORKER } from "./support.js";

const TALKATIVE = { env: { ...process.env, TRANSCRIPTION_WORKER_LOG: "info" } };

test("a crash rejects what is outstanding, with the end of stderr", async () => {
  const heard: string[] = [];
  const exits: WorkerEndedError[] = [];
  const worker = await start({
    ...TALKATIVE,
    onStderr: (text) => heard.push(text),
    onExit: (error) => exits.push(error),
  });
  const request = worker.transcribe({ audio: DEMO, model: MODEL }, { onPartial: killer(worker) });
  await assert.rejects(request, (error) => {
    assert(error instanceof WorkerEndedError);
    assert.equal(error.signal, "SIGKILL");
    assert.equal(error.exitCode, null);
    assert.match(error.stderrTail, /started as process/);
    assert(error.message.includes(error.stderrTail.trimEnd()));
    assert.deepEqual(exits, [error]);
    return true;
  });
  assert.match(heard.join(""), /started as process/);
  await assert.rejects(worker.ping(), WorkerEndedError);
});

test("a restarted worker is asked again for what has no answer", async () => {
  const worker = await start({ restart: { delayMs: 1 } });
  const first = worker.processId!;
  const [result, again] = await Promise.all([
    worker.transcribe({ audio: DEMO, model: MODEL }, { onPartial: killer(worker) }),
    worker.transcribe({ audio: DEMO, model: MODEL, start: 60 }),
  ]);
  assert.match(result.text, /^blue finish eight/);
  assert.match(again.text, /white$/);
  assert.notEqual(worker.processId, first);
  assert.equal(worker.initialized.processId, worker.processId);
});

test("what would not give the same twice is not sent again", async () => {
  const worker = await start({ restart: { delayMs: 1 } });
  const params = { audio: DEMO, model: MODEL, outputDir: temporary(), overwrite: false };
  const request = worker.transcribe(params, { onPartial: killer(worker) });
  await assert.rejects(request, WorkerEndedError);
  assert.deepEqual(await worker.ping(), {});
});

test("a request that ends each worker is given up", async () => {
  let exits = 0;
  const worker = await startFake("die", {
    restart: { attempts: 2, delayMs: 1 },
    onExit: () => (exits += 1),
  });
  await assert.rejects(worker.ping(), {
    name: "WorkerEndedError",
    exitCode: 3,
    stderrTail: "no luck\n",
  });
  assert.equal(exits, 3);
});

test("a request that ends each worker is given up, though others are answered", async () => {
  let exits = 0;
  const worker: TranscriptionWorker = await startFake("poisonable", {
    restart: { attempts: 2, delayMs: 1 },
    onExit: () => {
      exits += 1;
      void worker.ping();
    },
  });
  await assert.rejects(worker.jobs.list(), { name: "WorkerEndedError", exitCode: 3 });
  assert.equal(exits, 3);
  assert.deepEqual(await worker.ping(), {});
});

test("an aborted request is cancelled, and its answer awaited", { timeout: 10_000 }, async () => {
  const worker = await startFake("hesitate");
  const controller = new AbortController();
  const { signal } = controller;
  let over = false;
  const request = worker.transcribe({ audio: "endless" }, { signal }).finally(() => (over = true));
  request.catch(() => {});
  controller.abort();
  await worker.jobs.list();
  assert.equal(over, false);
  await worker.ping();
  await assert.rejects(request, { name: "AbortError" });
});

test("close waits for the answers that are outstanding", async () => {
  const worker = await start();
  const request = worker.transcribe({ audio: DEMO, model: MODEL });
  assert.deepEqual(await worker.close({ graceMs: 30_000 }), {
    exitCode: 0,
    signal: null,
    stderrTail: "",
  });
  assert.match((await request).text, /^blue finish eight/);
  await assert.rejects(worker.ping(), {
    name: "WorkerEndedError",
    message: "The worker was closed.",
  });
});

test("close cancels what takes too long", async () => {
  const worker = await start();
  let closing: Promise<unknown> | undefined;
  const request = worker.transcribe(
    { audio: DEMO, model: MODEL },
    { onPartial: () => (closing ??= worker.close({ graceMs: 0, terminateMs: 30_000 })) },
  );
  await assert.rejects(request, { name: "RpcError", kind: "cancelled", by: "signal" });
  assert.equal(((await closing) as { exitCode: number }).exitCode, 128 + 15);
});

test("close ends a worker that hangs, and its engines", async () => {
  const worker = await start();
  let processes: number[] = [];
  const ended = new Promise((resolve, reject) => {
    const stop = (): void => {
      processes = tree(worker.processId!);
      process.kill(worker.processId!, "SIGSTOP");
      worker.close({ graceMs: 50, terminateMs: 50 }).then(resolve, reject);
    };
    const request = worker.transcribe({ audio: DEMO, model: MODEL }, { onPartial: stop });
    request.catch(() => {});
    void assert.rejects(request, { name: "WorkerEndedError", signal: "SIGKILL" }).catch(reject);
  });
  assert.deepEqual(await ended, { exitCode: null, signal: "SIGKILL", stderrTail: "" });
  assert(processes.length > 1);
  assert.deepEqual(await left(processes, 2000), []);
});

test("a worker does not outlive its application", async () => {
  const parent = spawn(process.execPath, [join(__dirname, "parent.js")]);
  const [line] = (await once(parent.stdout, "data")) as [Buffer];
  const processes = tree(Number(line.toString()));
  assert(processes.length > 1);
  parent.kill("SIGKILL");
  assert.deepEqual(await left(processes, 2000), []);
});

test("a worker is told whose process to watch", async () => {
  const worker = await startFake("echo", { hfToken: "hf_x" });
  assert.deepEqual((worker.initialized as unknown as { params: object }).params, {
    processId: process.pid,
    maxLineBytes: 2 ** 31,
    hfToken: "hf_x",
  });
});

test("a program that is not there is named", async () => {
  const spawning = TranscriptionWorker.spawn({ command: "no-such-worker" });
  await assert.rejects(spawning, (error) => {
    assert(error instanceof WorkerEndedError);
    assert.match(error.message, /^The worker did not start: no-such-worker is not on the PATH\.$/);
    return true;
  });
});

test("a worker that fails at its start rejects with what it said", async () => {
  const spawning = TranscriptionWorker.spawn({ ...WORKER, args: [...WORKER.args!, "--nonsense"] });
  await assert.rejects(spawning, { name: "WorkerEndedError", exitCode: 2, message: /nonsense/ });
});

test("a worker that says nothing at its start is ended", async () => {
  const spawning = startFake("mute", { startTimeoutMs: 100 });
  await assert.rejects(spawning, { name: "WorkerEndedError", message: /not ready after 100 ms/ });
});

test("lines that are no messages are told, and skipped", async () => {
  const errors: ProtocolError[] = [];
  const worker = await startFake("babble", { onError: (error) => errors.push(error) });
  assert.deepEqual(await worker.ping(), { well: true });
  assert.equal(errors[0]?.line, "Loading checkpoint shards…");
  assert(errors.every((error) => error instanceof ProtocolError));
  assert.equal(errors.length, 5);
});

test("an answer that says nothing rejects its request", async () => {
  const worker = await startFake("hollow");
  await assert.rejects(worker.ping(), ProtocolError);
});

test("characters that are split over chunks are whole", async () => {
  const worker = await startFake("drip");
  assert.deepEqual(await worker.ping(), { text: "ärger, 話す, 🎙\u2028\r" });
});

test("a callback that throws does not lose the answer", async () => {
  const uncaught: unknown[] = [];
  const hear = (error: unknown): number => uncaught.push(error);
  const before = process.listeners("uncaughtException");
  process.removeAllListeners("uncaughtException").on("uncaughtException", hear);
  try {
    const worker = await startFake("babble", {
      onError: () => {
        throw new Error("of the application");
      },
    });
    assert.deepEqual(await worker.ping(), { well: true });
    assert.equal(String(uncaught[0]), "Error: of the application");
  } finally {
    process.removeAllListeners("uncaughtException");
    for (const listener of before) process.on("uncaughtException", listener);
  }
});
