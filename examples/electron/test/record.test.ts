import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { describe, test } from "node:test";
import type { Page } from "puppeteer-core";
import type { JobOptions } from "../src/api.js";
import { bridge } from "./bridge.js";
import {
  answers,
  application,
  choose,
  done,
  hear,
  MODEL,
  openPage,
  RECORDINGS,
  SHORT,
  speak,
  temporary,
  text,
  texts,
  withApplication,
  worker,
} from "./support.js";

/** As much as the small test model always finds. */
const SAID = /white open/;

/** The page, with a person before the microphone, once Record is pressed. */
async function record(page: Page, options: Partial<JobOptions> = {}): Promise<void> {
  await speak(page, SHORT);
  await choose(page, options);
  await page.click("#record");
  await page.waitForSelector("[data-state=recording]");
}

/** Waits until all was said, and some of it is final. */
async function said(page: Page): Promise<void> {
  await page.waitForFunction(
    () => document.querySelector("#listening-time")!.textContent! >= "0:05",
  );
  await page.waitForSelector(".said:not(.interim)");
}

async function finalText(page: Page): Promise<string> {
  return (await texts(page, ".said:not(.interim)")).map((each) => each.trim()).join(" ");
}

describe("recording", () => {
  withApplication();

  test("words appear while they are said, and the recording is a transcript like others", async () => {
    const page = await openPage();
    await page.evaluate(() => {
      const seen = { states: new Set<string>(), interim: "", grey: "", loudest: 0, spoken: false };
      Object.assign(window, { seen });
      new MutationObserver(() => {
        const interim = document.querySelector(".interim .word:not(.final)");
        seen.states.add(document.querySelector("#listening-state")!.textContent!);
        seen.loudest = Math.max(seen.loudest, document.querySelector("meter")!.value);
        seen.spoken ||= document.body.classList.contains("speaking");
        if (!interim || seen.interim) return;
        seen.interim = interim.textContent!;
        seen.grey = getComputedStyle(interim).color;
      }).observe(document.body, { subtree: true, childList: true, attributes: true });
    });
    await record(page, { align: true, diarize: true });
    assert.equal(await text(page, "#record-label"), "Stop");
    await said(page);
    const shown = await finalText(page);
    const { seen, grey } = await page.evaluate(() => {
      const { seen } = window as unknown as {
        seen: {
          states: Set<string>;
          interim: string;
          grey: string;
          loudest: number;
          spoken: boolean;
        };
      };
      const grey = getComputedStyle(document.querySelector(".said:not(.interim)")!).color;
      return { seen: { ...seen, states: [...seen.states] }, grey };
    });
    assert.notEqual(seen.interim, "");
    assert.notEqual(seen.grey, grey, "interim words are grey");
    assert.ok(seen.states.includes("Starting. You can speak already."), String(seen.states));
    assert.ok(seen.states.includes("Listening"), String(seen.states));
    assert.ok(seen.loudest > 0.3 && seen.spoken, JSON.stringify(seen));

    await page.click("#record");
    await done(page, "recorded");
    assert.match(await finalText(page), SAID);
    assert.ok((await finalText(page)).startsWith(shown), "what was final stays");
    assert.equal(await text(page, "#record-label"), "Record");
    assert.equal(await text(page, "#speakers-legend"), "Speaker 1");
    assert.match(await text(page, "#summary"), /^English · 0:0\d · words after \d/);

    const path = await text(page, "[data-kind=recorded] .message");
    assert.equal(dirname(path), RECORDINGS);
    assert.equal(await text(page, "#file"), basename(path));
    assert.equal(readFileSync(path).toString("latin1", 0, 4), "RIFF");
    await page.click("#segments .said");
    await page.waitForFunction(() => {
      const { paused, currentTime, duration } = document.querySelector("audio")!;
      return !paused && currentTime > 0.5 && duration > 3;
    });
    answers.target = temporary;
    await page.click("#save");
    await page.waitForFunction(() =>
      document.querySelector("#status")!.textContent!.startsWith("Saved"),
    );
    const saved = join(temporary, basename(path).replace(/wav$/, "srt"));
    assert.match(readFileSync(saved, "utf8"), SAID);
    await page.close();
  });

  test("the microphone is free once the recording is stopped", async () => {
    const page = await openPage();
    await page.evaluate(() => {
      const get = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
      navigator.mediaDevices.getUserMedia = async (wanted) => {
        const stream = await get(wanted);
        Object.assign(window, { track: stream.getAudioTracks()[0] });
        return stream;
      };
    });
    const live = (): Promise<string> =>
      page.evaluate(() => (window as unknown as { track: MediaStreamTrack }).track.readyState);
    await record(page);
    await page.waitForSelector(".said");
    assert.equal(await live(), "live");
    await page.click("#record");
    await done(page, "recorded");
    assert.equal(await live(), "ended");
    await page.close();
  });

  test("a microphone that is refused, absent or lost is told", async () => {
    const page = await openPage();
    for (const [name, told] of [
      ["NotAllowedError", /may not use/],
      ["NotFoundError", /no microphone/],
      ["NotReadableError", /another application/],
    ] as const) {
      await page.evaluate((name) => {
        const failing = Promise.reject(new DOMException("", name));
        failing.catch(() => {});
        Object.defineProperty(navigator.mediaDevices, "getUserMedia", {
          configurable: true,
          value: () => failing,
        });
      }, name);
      await page.click("#record");
      await page.waitForFunction(
        (source) =>
          new RegExp(source).test(
            document.querySelector("[role=alert] .message")?.textContent ?? "",
          ),
        {},
        told.source,
      );
      assert.notEqual(await text(page, "[role=alert] .remedy"), "");
      assert.ok(await page.$("[data-state=empty]"));
    }
    await page.evaluate(() => {
      delete (navigator.mediaDevices as { getUserMedia?: unknown }).getUserMedia;
      const get = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
      Object.defineProperty(navigator.mediaDevices, "getUserMedia", {
        value: async (wanted: MediaStreamConstraints) => {
          const stream = await get(wanted);
          Object.assign(window, { track: stream.getAudioTracks()[0] });
          return stream;
        },
      });
    });
    await record(page);
    await said(page);
    await page.evaluate(() => {
      (window as unknown as { track: MediaStreamTrack }).track.dispatchEvent(new Event("ended"));
    });
    await done(page, "microphone", "recorded");
    assert.match(await text(page, "[data-kind=microphone] .message"), /disconnected/);
    assert.match(await finalText(page), SAID);
    await page.close();
  });

  test("a microphone that is mute is told, and so is that nobody spoke", async () => {
    const page = await openPage();
    hear(new Array<number>(48_000).fill(0));
    await choose(page);
    await page.select("#language", "");
    await page.click("#record");
    await page.waitForFunction(() =>
      document.querySelector("#listening-state")!.textContent!.startsWith("No sound"),
    );
    await page.click("#record");
    await done(page, "recorded");
    assert.ok(await page.$("#nothing:not([hidden])"));
    assert.match(await text(page, "#summary"), /0:0\d$/);
    await page.close();
  });

  test("a worker that ends is told, what was recorded is kept, and the next recording works", async () => {
    const page = await openPage();
    await record(page);
    await page.waitForSelector(".said");
    process.kill((await application.session.workerProcessId)!, "SIGKILL");
    await page.waitForSelector("[role=alert][data-kind=worker_ended]");
    await page.waitForSelector("[data-state=ready]");
    const path = await text(page, "[data-kind=recorded] .message");
    assert.equal(await text(page, "#file"), basename(path));
    assert.ok(readFileSync(path).length > 48_000);
    assert.match(await text(page, "[data-kind=worker] .message"), /when it is needed/);
    await page.click("#start"); // the recording can be transcribed
    await done(page, "worker");
    assert.match(await text(page, "#segments"), /white/);

    await page.click("#record");
    await page.waitForSelector("[data-state=recording]");
    await said(page);
    await page.click("#record");
    await done(page, "worker", "recorded");
    assert.match(await finalText(page), SAID);
    await page.close();
  });

  test("a model that is missing can be downloaded, or another be chosen", async () => {
    const page = await openPage();
    await record(page, { model: "tiny" });
    await page.waitForSelector("[role=alert][data-kind=model_not_cached] .primary");
    assert.ok(await page.$(":is([data-state=ready], [data-state=empty])"));
    assert.equal(await text(page, "#record-label"), "Record");
    await record(page);
    await page.waitForSelector(".said:not(.interim)");
    await page.click("#record");
    await done(page, "recorded");
    await page.close();
  });

  test("who stops before the worker listens loses no word", async () => {
    const { command, args = [], ...rest } = worker;
    const words = [command, ...args].map((word) => `'${word}'`).join(" ");
    const slow = await bridge({
      worker: { ...rest, command: "/bin/sh", args: ["-c", `sleep 4; exec ${words}`] },
      recordings: RECORDINGS,
    });
    const page = await openPage("dark", slow.url);
    for (const stage of ["#align", "#diarize"]) await page.click(stage);
    await speak(page, SHORT);
    await page.$eval(
      "#model",
      (field, model) => ((field as HTMLInputElement).value = model),
      MODEL,
    );
    await page.click("#record");
    await page.waitForSelector("[data-state=recording]");
    await page.waitForFunction(
      () => document.querySelector("#listening-time")!.textContent === "0:02",
    );
    await page.click("#record");
    await page.waitForSelector("[data-state=finishing]");
    await done(page, "recorded");
    assert.match(await finalText(page), /white open/);
    assert.match(await text(page, "#listening-state"), /^Finishing/);
    await page.close();
    await slow.close();
  });

  test("a recording that is cancelled at its end is kept", async () => {
    const page = await openPage();
    await record(page);
    await page.waitForSelector(".said");
    await page.evaluate(() => {
      document.querySelector<HTMLButtonElement>("#record")!.click();
      document.querySelector<HTMLButtonElement>("#cancel")!.click();
    });
    await page.waitForSelector(":is([data-state=ready], [data-state=done])");
    assert.notEqual(await text(page, "[data-kind=recorded] .message"), "");
    await page.close();
  });

  test("a page that is gone takes its recording with it", async () => {
    const page = await openPage();
    await record(page);
    await page.waitForSelector(".said");
    await page.close();
    application.session.abandon();
    const other = await openPage();
    await record(other);
    await other.waitForSelector(".said:not(.interim)");
    await other.click("#record");
    await done(other, "recorded");
    await other.close();
  });
});
