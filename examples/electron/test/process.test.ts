import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { runInNewContext } from "node:vm";
import { CHANNELS, SAMPLES, type Recorded } from "../src/api.js";
import { asCorrection, asName, asNumber, Refusal } from "../src/checks.js";
import { ORIGIN, permitted, type Wish } from "../src/permissions.js";
import { Session, type Surroundings } from "../src/session.js";
import { DEMO, MIXTURE, PLAIN, temporary, worker } from "./support.js";

const SAID = new Float32Array([0.5]);

function session(surroundings: Partial<Surroundings> = {}): Session {
  return new Session({
    worker: { command: "/nowhere/transcription-worker" },
    chooseRecording: async () => MIXTURE,
    chooseTarget: async () => null,
    recordings: temporary,
    recent: join(temporary, "recent.json"),
    tell: () => {},
    ...surroundings,
  });
}

test("the preload script exposes named functions alone, and needs nothing but Electron", () => {
  const exposed: Record<string, Record<string, (...args: unknown[]) => unknown>> = {};
  const invoked: unknown[] = [];
  const sent: unknown[] = [];
  runInNewContext(readFileSync(join(__dirname, "../dist/preload.js"), "utf8"), {
    module: {},
    require: (name: string) => {
      assert.equal(name, "electron");
      return {
        contextBridge: { exposeInMainWorld: (as: string, it: never) => (exposed[as] = it) },
        ipcRenderer: {
          invoke: (...args: unknown[]) => invoked.push(args[0]),
          send: (...args: unknown[]) => sent.push(args),
          on: () => {},
        },
        webUtils: { getPathForFile: () => "/dropped" },
      };
    },
  });
  assert.deepEqual(Object.keys(exposed), ["transcriber"]);
  const { listen, hear, ...requests } = exposed["transcriber"]!;
  assert.equal(typeof listen, "function");
  hear!(SAID);
  assert.deepEqual(sent, [[SAMPLES, SAID]]);
  for (const request of Object.values(requests)) request({}, {});
  assert.deepEqual(invoked.sort(), [...CHANNELS].sort());
});

test("a path that the user has not opened is not transcribed", async () => {
  const outcome = await session().handle("transcribe", [MIXTURE, PLAIN]);
  assert.ok(!outcome.ok);
  assert.equal(outcome.failure.kind, "refused");
});

test("what is no request is refused", async () => {
  const mine = session();
  const wrong = [
    ["transcribe", [{}, PLAIN]],
    ["transcribe", ["id", null]],
    ["transcribe", ["id", { ...PLAIN, speakers: "2" }]],
    ["transcribe", ["id", { ...PLAIN, model: ["x"] }]],
    ["record", [PLAIN]],
    ["record", [{ ...PLAIN, sampleRate: 96_000 }]],
    ["record", [{ ...PLAIN, sampleRate: "48000" }]],
    ["record", [null]],
    ["reopen", ["nothing"]],
    ["reopen", [null]],
    ["rename", ["SPEAKER_00", "Ana"]],
    ["correct", [0, "text"]],
    ["undo", []],
    ["download", [""]],
    ["halt", [["x"]]],
    ["save", ["exe"]],
    ["save", ["../srt"]],
  ] as const;
  for (const [channel, args] of wrong) {
    const outcome = await mine.handle(channel, args);
    assert.ok(!outcome.ok && outcome.failure.kind === "refused", JSON.stringify(args));
  }
});

test("a name and a text are one line, and neither too long nor something else", () => {
  assert.equal(asName("  Ana\n\u0000\tMaria "), "Ana Maria");
  assert.equal(asCorrection(" \n "), "");
  for (const wrong of ["", " \n ", "a".repeat(101), null, { name: "Ana" }, 1]) {
    assert.throws(() => asName(wrong), Refusal, JSON.stringify(wrong));
  }
  for (const wrong of ["a".repeat(10_001), undefined, ["text"], 1]) {
    assert.throws(() => asCorrection(wrong), Refusal);
  }
  for (const wrong of ["0", null, undefined, {}]) assert.throws(() => asNumber(wrong), Refusal);
});

test("a worker that cannot be started is told, with a remedy", async () => {
  const mine = session();
  const opened = await mine.handle("open", []);
  assert.ok(opened.ok);
  const { id } = opened.value as { id: string };
  const outcome = await mine.handle("transcribe", [id, PLAIN]);
  assert.ok(!outcome.ok);
  assert.equal(outcome.failure.kind, "worker_ended");
  assert.match(outcome.failure.message, /did not start/);
  assert.ok(outcome.failure.remedy);
});

test("the end of the application is not told as a cancelled job", async () => {
  const mine = session({
    worker,
    chooseRecording: async () => DEMO,
    tell: ({ kind }) => void (kind === "segments" && mine.close()),
  });
  const opened = await mine.handle("open", []);
  assert.ok(opened.ok);
  const outcome = await mine.handle("transcribe", [(opened.value as { id: string }).id, PLAIN]);
  assert.ok(!outcome.ok);
  assert.equal(outcome.failure.kind, "worker_ended");
  assert.equal(outcome.failure.message, "The worker was ended from outside.");
});

test("what is no sound is ignored, and so is sound that nothing records", () => {
  const mine = session();
  for (const sent of [SAID, [0.5], "x", null, undefined, { length: 1 }, new Float32Array(1e6)]) {
    mine.hear(sent);
  }
});

test("the page may hear the microphone, and nothing else", () => {
  const wish = { permission: "media", url: `${ORIGIN}/`, media: ["audio"], isMainFrame: true };
  assert.ok(permitted(wish));
  const others: Partial<Wish>[] = [
    { permission: "geolocation" },
    { url: "https://example.org/" },
    { url: `${ORIGIN}.example.org/` },
    { url: undefined },
    { media: ["video"] },
    { media: ["audio", "video"] },
    { media: [] },
    { media: undefined },
    { media: ["unknown"] },
    { isMainFrame: false },
  ];
  for (const other of others) assert.ok(!permitted({ ...wish, ...other }), JSON.stringify(other));
});

test("a recording that cannot begin is told, and leaves no file", async () => {
  const mine = session();
  const outcome = await mine.handle("record", [{ ...PLAIN, sampleRate: 16_000 }]);
  assert.ok(outcome.ok);
  const { recording, path, result, failure } = outcome.value as Recorded;
  assert.deepEqual([recording, path, result], [null, null, null]);
  assert.equal(failure?.kind, "worker_ended");
});
