import assert from "node:assert/strict";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { after, before } from "node:test";
import { launch, type Browser, type Page } from "puppeteer-core";
import type { JobOptions } from "../src/api.js";
import type { Surroundings } from "../src/session.js";
import { bridge, ROOT, WORKER, type Bridge } from "./bridge.js";

/** The small test model is a poor clock, which our own engine needs; in int8, CPUs differ. */
export const SETTINGS = { engine: "faster-whisper", computeType: "float32" } as const;
export const MODEL = "tests/models/whisper";
export const ALIGNMENT_MODEL = "tests/models/alignment";
export const DIARIZATION_MODEL = "tests/models/diarization";
/** Fifteen seconds of three people. */
export const MIXTURE = join(ROOT, "tests/mixtures/mixture-01.flac");
/** A minute and a half of speech, in three windows: it can be interrupted after the first. */
export const DEMO = join(ROOT, "tests/recordings/demo.flac");

/** Ten seconds of one person. */
export const SHORT = join(ROOT, "tests/recordings/en-01.flac");

export const PLAIN: JobOptions = {
  model: MODEL,
  language: "en",
  align: false,
  alignmentModel: null,
  diarize: false,
  diarizationModel: null,
  speakers: null,
  download: false,
};

const BROWSERS = ["/usr/bin/chromium", "/usr/bin/google-chrome"];
export const temporary = mkdtempSync(join(tmpdir(), "transcriber-"));
after(() => rmSync(temporary, { recursive: true, force: true }));
export const RECORDINGS = join(temporary, "recordings");
/** What the browser's microphone hears, once, whenever it is opened. */
const SPOKEN = join(temporary, "spoken.wav");

const FLAGS = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
  "--mute-audio",
  "--no-first-run",
  "--use-fake-device-for-media-stream",
  "--use-fake-ui-for-media-stream",
  `--use-file-for-fake-audio-capture=${SPOKEN}%noloop`,
];

/** Time for the worker to load torch on a busy machine. */
export const PATIENCE_MS = 600_000;

/** What the stand-in for Electron's dialogs answers with. */
export const answers = { recording: MIXTURE, target: "" };

let browser: Browser;
export let application: Bridge;

/** A hub cache without models, and no network. */
export const worker: Surroundings["worker"] = {
  ...WORKER,
  env: { ...process.env, HF_HOME: join(temporary, "hub"), HF_HUB_OFFLINE: "1" },
};

/** Starts the browser and the application before the tests, and ends them afterwards. */
export function withApplication(): void {
  before(async () => {
    application = await bridge({
      worker,
      chooseRecording: async () => answers.recording,
      chooseTarget: async (name) => join(answers.target, name),
      recordings: RECORDINGS,
      recent: join(temporary, "recent.json"),
      find: (name) => join(temporary, name),
      settings: SETTINGS,
    });
    const executablePath = process.env["TEST_BROWSER"] ?? BROWSERS.find(existsSync);
    browser = await launch({
      ...(executablePath && { executablePath }),
      args: FLAGS,
      protocolTimeout: PATIENCE_MS,
      userDataDir: join(temporary, "browser"),
    });
  });
  after(async () => {
    await browser.close();
    await application.close();
  });
}

/** The page, anew; what goes wrong in it unseen fails the test that ends with `check`. */
export async function openPage(theme: "dark" | "light" = "dark", url?: string): Promise<Page> {
  const page = await browser.newPage();
  page.setDefaultTimeout(PATIENCE_MS);
  await page.setViewport({ width: 1180, height: 820 });
  await page.emulateMediaFeatures([{ name: "prefers-color-scheme", value: theme }]);
  page.on("pageerror", (error) => {
    throw error;
  });
  await page.goto(url ?? application.url);
  if (url === undefined) await page.waitForSelector("#language option[value=en]");
  return page;
}

/** Opens the recording as the user does, and asks for a job. */
export async function start(
  page: Page,
  recording: string,
  options: Partial<JobOptions> = {},
): Promise<void> {
  answers.recording = recording;
  await page.click("#open");
  await page.waitForFunction(
    (name) => document.querySelector("#file")!.textContent === name,
    {},
    basename(recording),
  );
  await choose(page, options);
  await page.click("#start");
}

export async function choose(
  page: Page,
  { model = MODEL, ...options }: Partial<JobOptions> = {},
): Promise<void> {
  await fill(page, "#model", model);
  await page.select("#language", "en");
  await page.$eval("details", (details) => (details.open = true));
  await fill(page, "#alignment-model", options.alignmentModel ?? ALIGNMENT_MODEL);
  await fill(page, "#diarization-model", options.diarizationModel ?? DIARIZATION_MODEL);
  for (const name of ["align", "diarize"] as const) {
    const on = await page.$eval(`#${name}`, (box) => (box as HTMLInputElement).checked);
    if (on !== (options[name] ?? false)) await page.click(`#${name}`);
  }
  await page.$eval("details", (details) => (details.open = false));
}

/** Lets the microphone hear this recording. */
export async function speak(page: Page, recording: string): Promise<void> {
  const samples = await page.evaluate(async (bytes) => {
    const context = new OfflineAudioContext(1, 1, 48_000);
    const coded = Uint8Array.from(atob(bytes), (character) => character.charCodeAt(0));
    const decoded = await context.decodeAudioData(coded.buffer);
    return [...decoded.getChannelData(0)].map((sample) => Math.round(sample * 32_767));
  }, readFileSync(recording).toString("base64"));
  hear(samples);
}

/** Lets the microphone hear these samples, 48000 per second. */
export function hear(samples: readonly number[]): void {
  const header = Buffer.alloc(44);
  header.write("RIFF____WAVEfmt ");
  header.writeUInt32LE(36 + 2 * samples.length, 4);
  for (const [at, value] of [16, 0x10001, 48_000, 96_000, 0x100002].entries()) {
    header.writeUInt32LE(value, 16 + 4 * at);
  }
  header.write("data", 36);
  header.writeUInt32LE(2 * samples.length, 40);
  writeFileSync(SPOKEN, Buffer.concat([header, Buffer.from(Int16Array.from(samples).buffer)]));
}

async function fill(page: Page, selector: string, text: string): Promise<void> {
  await page.$eval(selector, (field) => ((field as HTMLInputElement).value = ""));
  await page.type(selector, text);
}

/** Waits for the end of a job, of which nothing is to be told but these kinds. */
export async function done(page: Page, ...kinds: string[]): Promise<void> {
  await page.waitForSelector(":is([data-state=done], [data-state=ready])");
  const told = await texts(page, ".notice");
  const unexpected = kinds.reduce((all, kind) => `${all}:not([data-kind=${kind}])`, ".notice");
  assert.equal((await page.$$(unexpected)).length, 0, told.join("; "));
  assert.ok(await page.$("[data-state=done]"));
}

export async function text(page: Page, selector: string): Promise<string> {
  return page.$eval(selector, (element) => element.textContent ?? "");
}

export async function texts(page: Page, selector: string): Promise<string[]> {
  return page.$$eval(selector, (elements) => elements.map((element) => element.textContent ?? ""));
}
