import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { Application, CALL, CHICAGO, FOX, LONG, SHORT } from "./application.js";
import { answer } from "./desktop.js";

describe("in Electron", () => {
  let application: Application;
  before(async () => void (application = await Application.start()));
  after(() => application.quit());

  test("a recording from the native dialog is transcribed, and its segments arrive meanwhile", async () => {
    const { page } = application;
    await application.open(CALL);
    await page.evaluate(() => {
      const seen = { stages: [] as string[], segments: 0 };
      Object.assign(window, { seen });
      new MutationObserver(() => {
        if (document.body.dataset["state"] !== "running") return;
        for (const { dataset } of document.querySelectorAll<HTMLElement>("#stages .begun")) {
          if (!seen.stages.includes(dataset["stage"]!)) seen.stages.push(dataset["stage"]!);
        }
        seen.segments = Math.max(seen.segments, document.querySelectorAll("#segments li").length);
      }).observe(document.body, { subtree: true, childList: true, attributes: true });
    });
    await application.transcribe({ exact: true });
    await application.heard();
    await application.picture("running");
    assert.match(await application.done(), CHICAGO);
    await application.picture("done");
    const seen = await page.evaluate(
      () => (window as unknown as { seen: { stages: string[]; segments: number } }).seen,
    );
    assert.ok(seen.stages.includes("recognition"), `stages: ${seen.stages}`);
    assert.ok(seen.segments > 1, `${seen.segments} segments`);
  });

  test("a click on a word plays the recording from there", async () => {
    const { page } = application;
    const word = (await page.$$("#segments .word")).at(-3)!;
    const from = await word.evaluate((each) => Number((each as HTMLElement).dataset["start"]));
    assert.ok(from > 20, `${from} s`);
    await word.click();
    await page.waitForFunction(
      (from) => {
        const { currentTime, paused } = document.querySelector("audio")!;
        return !paused && currentTime > from && document.querySelector(".now");
      },
      {},
      from,
    );
    await page.click("#play");
    await page.waitForFunction(() => document.querySelector("audio")!.paused);
  });

  test("the transcript is saved where the native dialog says", async () => {
    const { page } = application;
    const path = join(application.home, "the call.srt");
    await page.select("#format", "srt");
    await page.click("#save");
    await answer("Save File", path);
    await page.waitForFunction(
      (path) => document.querySelector("#status")!.textContent === `Saved ${path}`,
      {},
      path,
    );
    const srt = readFileSync(path, "utf8");
    assert.match(srt, /^1\r?\n00:00:0\d,\d{3} --> 00:00:/);
    assert.match(srt.replaceAll(/\s+/g, " "), CHICAGO);
  });

  test("a dropped file is opened, though the page never learns its path", async () => {
    const { page } = application;
    const { x, y } = (await (await page.$("main"))!.boundingBox())!;
    const data = { items: [], files: [SHORT], dragOperationsMask: 1 };
    const client = await page.createCDPSession();
    for (const type of ["dragEnter", "dragOver", "drop"] as const) {
      await client.send("Input.dispatchDragEvent", { type, x: x + 400, y: y + 100, data });
    }
    await application.opened(SHORT);
    await application.transcribe();
    assert.match(await application.done(), FOX);
    assert.ok(!(await page.content()).includes(SHORT));
  });

  test("a job that is cancelled ends, and the next one is done", async () => {
    await application.open(LONG);
    await application.transcribe();
    await application.heard();
    await application.page.click("#cancel");
    await application.page.waitForSelector("[data-state=ready] [data-kind=cancelled]");
    await application.picture("cancelled");
    await application.open(SHORT);
    await application.transcribe();
    assert.match(await application.done(), FOX);
  });

  test("the page gets no other window, leads nowhere else, and runs no script but its own", async () => {
    const { page, browser } = application;
    const windows = browser.targets().filter((target) => target.type() === "page").length;
    const opened = await page.evaluate(async () => {
      const other = window.open("https://example.org/");
      location.href = "https://example.org/";
      await new Promise((resolve) => setTimeout(resolve, 500));
      document.body.append(
        Object.assign(document.createElement("script"), { text: "document.title = 'taken'" }),
      );
      return other !== null;
    });
    assert.ok(!opened);
    assert.equal(browser.targets().filter((target) => target.type() === "page").length, windows);
    assert.equal(page.url(), "app://transcriber/");
    assert.doesNotMatch(await page.title(), /taken/);
    const known = await page.evaluate(() => [typeof require, typeof process]);
    assert.deepEqual(known, ["undefined", "undefined"]);
  });
});
