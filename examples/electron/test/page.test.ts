import assert from "node:assert/strict";
import { copyFileSync, existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import type { ProbeResult, Segment } from "transcription-worker-client";
import {
  application,
  answers,
  DEMO,
  done,
  MIXTURE,
  openPage,
  start,
  temporary,
  text,
  texts,
  withApplication,
} from "./support.js";

const WHOLE = { align: true, diarize: true };
const SAID = "down five white up stop";

describe("the page", () => {
  withApplication();

  test("shows each stage's progress, and segments while the job runs", async () => {
    const page = await openPage();
    await page.evaluate(() => {
      const seen = { stages: new Set<string>(), segments: 0, named: 0 };
      Object.assign(window, { seen });
      new MutationObserver(() => {
        if (document.body.dataset["state"] !== "running") return;
        for (const stage of document.querySelectorAll<HTMLElement>("#stages .begun")) {
          seen.stages.add(stage.dataset["stage"]!);
        }
        seen.segments = Math.max(seen.segments, document.querySelectorAll("#segments li").length);
        seen.named = Math.max(seen.named, document.querySelectorAll("#segments .name").length);
      }).observe(document.body, { subtree: true, childList: true, attributes: true });
    });
    await start(page, MIXTURE, WHOLE);
    await done(page);
    const seen = await page.evaluate(() => {
      const { seen } = window as unknown as { seen: { stages: Set<string>; segments: number } };
      return { stages: [...seen.stages], segments: seen.segments };
    });
    for (const stage of ["decode", "recognition", "alignment", "diarization"]) {
      assert.ok(seen.stages.includes(stage), `${stage} of ${seen.stages}`);
    }
    assert.equal(seen.segments, 6);
    assert.equal((await texts(page, "#segments li")).length, 6, "a later segment replaces");
    assert.equal((await texts(page, "#segments .said"))[0], SAID);
    assert.match(await text(page, "#summary"), /^English · 0:15 · /);
    await page.close();
  });

  test("colours the timeline by speaker", async () => {
    const page = await openPage();
    await start(page, MIXTURE, WHOLE);
    await done(page);
    assert.deepEqual(await texts(page, "#speakers-legend li"), [
      "Speaker 1",
      "Speaker 2",
      "Speaker 3",
    ]);
    const colours = await page.evaluate(async () => {
      await new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve)));
      const canvas = document.querySelector<HTMLCanvasElement>("#timeline")!;
      const context = canvas.getContext("2d")!;
      const { duration } = document.querySelector("audio")!;
      /** The colours that are found in the transcript and, at the same time, in the waveform. */
      return [...document.querySelectorAll<HTMLElement>("#segments li")].map((item) => {
        const words = [...item.querySelectorAll<HTMLElement>(".word")];
        const middle = Number(words[Math.floor(words.length / 2)]!.dataset["start"]);
        const x = Math.round((middle / duration) * canvas.width);
        const [red, green, blue] = context
          .getImageData(x - 3, 0, 7, canvas.height / 2)
          .data.reduce<number[][]>((all, value, at) => {
            if (at % 4 === 0) all.push([]);
            all.at(-1)!.push(value);
            return all;
          }, [])
          .reduce((most, pixel) => (pixel[3]! > most[3]! ? pixel : most));
        return { said: getComputedStyle(item).borderLeftColor, drawn: [red!, green!, blue!] };
      });
    });
    for (const { said, drawn } of colours) {
      const expected = said.match(/\d+/g)!.map(Number);
      for (const [at, value] of expected.entries())
        assert.ok(Math.abs(drawn[at]! - value) < 6, said);
    }
    assert.equal(new Set(colours.map(({ said }) => said)).size, 3);
    await page.close();
  });

  test("plays from a word, a segment or a place on the timeline, and marks the word", async () => {
    const page = await openPage();
    await start(page, MIXTURE, WHOLE);
    await done(page);
    const word = (await page.$$("#segments .word"))[2]!;
    const from = await word.evaluate((element) =>
      Number((element as HTMLElement).dataset["start"]),
    );
    await word.click();
    await page.waitForFunction(
      (at) => {
        const audio = document.querySelector("audio")!;
        return !audio.paused && audio.currentTime > at && document.querySelector(".now");
      },
      {},
      from,
    );
    const marked = await page.$$eval(".word", (words) =>
      words.findIndex((element) => element.classList.contains("now")),
    );
    assert.ok(marked === 2 || marked === 3, `word ${marked}`);
    assert.equal((await texts(page, "[aria-current] .said"))[0], SAID);
    await page.click("#play");
    await page.waitForFunction(() => document.querySelector("audio")!.paused);

    const times = await page.$$("#segments .time");
    await times[3]!.focus();
    await page.keyboard.press("Enter");
    await page.waitForFunction(() => {
      const { currentTime, paused } = document.querySelector("audio")!;
      return !paused && currentTime > 6.8 && currentTime < 9;
    });

    const { x, y, width, height } = (await (await page.$("#timeline"))!.boundingBox())!;
    await page.mouse.click(x + width * 0.8, y + height / 2);
    await page.waitForFunction(() => {
      const { currentTime, paused } = document.querySelector("audio")!;
      return !paused && currentTime >= 11.9 && currentTime < 14;
    });
    await page.keyboard.press("Space");
    await page.waitForFunction(() => document.querySelector("audio")!.paused);
    await page.keyboard.press("Home");
    await page.waitForFunction(() => document.querySelector("audio")!.currentTime === 0);
    await page.close();
  });

  test("a job that is cancelled ends and is said to be", async () => {
    const page = await openPage();
    await start(page, DEMO);
    await page.waitForSelector("#segments li");
    await page.click("#cancel");
    await page.waitForSelector("[data-state=ready]");
    assert.equal(await text(page, "[data-kind=cancelled] strong"), "Cancelled");
    assert.equal(await text(page, "#status"), "The transcription was cancelled.");
    const jobs = await application.session.handle("models", []);
    assert.ok(jobs.ok, "the worker is there still");
    await page.close();
  });

  test("saves the transcript in every format", async () => {
    const page = await openPage();
    answers.target = join(temporary, "saved");
    mkdirSync(answers.target);
    await start(page, MIXTURE, WHOLE);
    await done(page);
    const formats = await page.$$eval("#format option", (options) =>
      options.map(({ value }) => value),
    );
    assert.equal(formats.length, 11);
    for (const format of formats) {
      const path = join(
        answers.target,
        `mixture-01.${format === "textgrid" ? "TextGrid" : format}`,
      );
      await page.select("#format", format);
      await page.click("#save");
      await page.waitForFunction(
        (saved) => document.querySelector("#status")!.textContent === `Saved ${saved}`,
        {},
        path,
      );
      assert.ok(existsSync(path), path);
    }
    const srt = readFileSync(join(answers.target, "mixture-01.srt"), "utf8");
    assert.match(srt, /^1\r?\n00:00:00,743 --> 00:00:02,577\r?\n.*down five white up stop/);
    await page.close();
  });

  test("shows the health report's score, findings and remedies", async () => {
    const page = await openPage();
    const answer = page.waitForResponse((response) => response.url().endsWith("/ask/probe"));
    await page.click("#check-health");
    const { value } = (await (await answer).json()) as { value: ProbeResult };
    await page.waitForSelector("#report .score");
    const { healthMetrics, findings } = value;
    assert.equal(await text(page, ".score"), `${healthMetrics.overallScore} of 100`);
    const shown = (selector: string): Promise<string[]> => texts(page, `.findings ${selector}`);
    assert.deepEqual(
      await shown(".message"),
      findings.map(({ message }) => message),
    );
    assert.deepEqual(
      await shown(".remedy"),
      findings.map(({ remedy }) => remedy),
    );
    await page.keyboard.press("Escape");
    await page.waitForFunction(() => !document.querySelector("dialog")!.open);
    await page.close();
  });

  test("an error has its sentence, its remedy, and the way out that it names", async () => {
    const page = await openPage();
    await start(page, MIXTURE, { model: "tiny" });
    await page.waitForSelector("[role=alert][data-kind=model_not_cached]");
    assert.match(await text(page, "[role=alert] strong"), /not on this machine/);
    assert.match(await text(page, "[role=alert] .message"), /tiny/);
    assert.match(await text(page, "[role=alert] .remedy"), /download/i);
    await page.click("[role=alert] .primary");
    await page.waitForSelector("[role=alert]:not(:has(.primary))");
    assert.match(await text(page, "[role=alert] .remedy"), /Unset HF_HUB_OFFLINE/);
    assert.ok(await page.$eval("#download", (box) => (box as HTMLInputElement).checked));

    const rubbish = join(temporary, "rubbish.wav");
    writeFileSync(rubbish, "This is no sound.");
    await start(page, rubbish);
    await page.waitForSelector("[role=alert][data-kind=audio_invalid]");
    assert.notEqual(await text(page, "[role=alert] .remedy"), "");
    await page.close();
  });

  test("a stage that failed is a warning with its remedy, and the rest is there", async () => {
    const page = await openPage();
    await start(page, MIXTURE, { diarize: true, diarizationModel: join(temporary, "absent") });
    await done(page, "stage_failed");
    assert.equal((await texts(page, "#segments li")).length, 6);
    assert.notEqual(await text(page, "[data-kind=stage_failed] .remedy"), "");
    await page.close();
  });

  test("markup in a file's name or a transcript stays text", async () => {
    const page = await openPage();
    const hostile = "<img src=x onerror=\"document.title='taken'\">";
    const path = join(temporary, `${hostile.replaceAll("/", "")}.flac`);
    copyFileSync(MIXTURE, path);
    answers.recording = path;
    await page.click("#open");
    await page.waitForSelector("[data-state=ready]");
    assert.equal(await text(page, "#file"), `${hostile}.flac`);
    const segment = { id: 0, start: 0, end: 1, text: hostile, words: null, speaker: hostile };
    application.tell({
      kind: "segments",
      language: "en",
      segments: [segment as unknown as Segment],
    });
    await page.waitForSelector("#segments li");
    assert.equal(await text(page, ".said"), hostile);
    assert.equal(await text(page, ".name"), hostile);
    assert.equal(await text(page, "#speakers-legend li"), hostile);
    assert.equal((await page.$$("img")).length, 0);
    await page.close();
  });

  test("its policy runs no script but its own", async () => {
    const page = await openPage();
    const violated = await page.evaluate(
      () =>
        new Promise<string>((resolve) => {
          document.addEventListener("securitypolicyviolation", (event) =>
            resolve(event.effectiveDirective),
          );
          document.body.append(
            Object.assign(document.createElement("script"), { text: "document.title = 'taken'" }),
          );
        }),
    );
    assert.equal(violated, "script-src-elem");
    assert.equal(await page.title(), "Transcriber");
    await page.close();
  });

  test("a worker that is killed is told, and its job is done by the next one", async () => {
    const page = await openPage();
    await start(page, DEMO);
    await page.waitForSelector("#segments li");
    process.kill((await application.session.workerProcessId)!, "SIGKILL");
    await page.waitForSelector("[data-kind=worker]");
    assert.match(await text(page, "[data-kind=worker] .message"), /SIGKILL|starts over/);
    await done(page, "worker");
    assert.match(await text(page, "[data-kind=worker] strong"), /has restarted/);
    const first = await texts(page, "#segments .said");
    await page.click("#start");
    await page.waitForSelector("[data-state=running]");
    await done(page);
    assert.deepEqual(await texts(page, "#segments .said"), first);
    await page.close();
  });

  test("a recording can be dropped on it", async () => {
    const page = await openPage();
    copyFileSync(MIXTURE, join(temporary, "dropped.flac"));
    await page.evaluate(() => {
      const dataTransfer = new DataTransfer();
      dataTransfer.items.add(new File([], "dropped.flac"));
      document.body.dispatchEvent(new DragEvent("drop", { dataTransfer, bubbles: true }));
    });
    await page.waitForSelector("[data-state=ready]");
    assert.equal(await text(page, "#file"), "dropped.flac");
    await page.waitForFunction(() => document.querySelector("audio")!.duration === 15);
    await page.close();
  });

  test("every control has a name", async () => {
    const page = await openPage();
    await start(page, MIXTURE, WHOLE);
    await done(page);
    await page.$eval("details", (details) => (details.open = true));
    const tree = await page.accessibility.snapshot({ interestingOnly: true });
    const nameless: string[] = [];
    const walk = (node: NonNullable<typeof tree>): void => {
      const control = ["button", "checkbox", "combobox", "textbox", "slider", "spinbutton"];
      if (control.includes(node.role) && !node.name) nameless.push(node.role);
      node.children?.forEach(walk);
    };
    walk(tree!);
    assert.deepEqual(nameless, []);
    await page.close();
  });
});
