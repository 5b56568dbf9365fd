import assert from "node:assert/strict";
import { mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import type { KeyInput, Page } from "puppeteer-core";
import {
  answers,
  done,
  MIXTURE,
  openPage,
  start,
  temporary,
  text,
  withApplication,
} from "./support.js";

async function chord(page: Page, ...keys: KeyInput[]): Promise<void> {
  const last = keys.pop()!;
  for (const key of keys) await page.keyboard.down(key);
  await page.keyboard.press(last);
  for (const key of keys) await page.keyboard.up(key);
}

async function at(page: Page, seconds: number): Promise<void> {
  await page.waitForFunction(
    (expected) => Math.abs(document.querySelector("audio")!.currentTime - expected) < 0.01,
    {},
    seconds,
  );
}

const paused = (page: Page): Promise<boolean> =>
  page.$eval("audio", (audio) => (audio as HTMLAudioElement).paused);

describe("the keyboard", () => {
  withApplication();

  test("opens, plays, seeks, corrects and saves", async () => {
    const page = await openPage();
    await start(page, MIXTURE);
    await done(page);
    await page.focus("#file, body");
    await page.evaluate(() => (document.activeElement as HTMLElement).blur());
    await page.waitForFunction(() => document.querySelector("audio")!.duration === 15);
    await page.keyboard.press("ArrowRight");
    await at(page, 5);
    await chord(page, "Shift", "ArrowLeft");
    await at(page, 4);
    await page.focus("#timeline");
    await page.keyboard.press("ArrowLeft");
    await at(page, 0);
    await page.keyboard.press("Space");
    await page.waitForFunction(() => !document.querySelector("audio")!.paused);
    await page.keyboard.press("Space");
    await page.waitForFunction(() => document.querySelector("audio")!.paused);

    await page.focus("#segments .time");
    await page.keyboard.press("ArrowDown");
    const row = await page.evaluate(() => document.activeElement!.closest("li")!.dataset["id"]);
    assert.equal(row, "1");
    await page.keyboard.press("F2");
    await page.keyboard.press("Home");
    const before = await page.$eval("audio", (audio) => (audio as HTMLAudioElement).currentTime);
    await page.keyboard.type("so ?");
    await page.keyboard.press("ArrowLeft");
    assert.ok(await paused(page), "Space is a text while one types");
    await at(page, before);
    assert.equal(await page.$("#shortcuts[open]"), null);
    await chord(page, "Control", "z"); // of the field
    await page.keyboard.press("Escape");

    answers.target = join(temporary, "keys");
    mkdirSync(answers.target);
    await chord(page, "Control", "s");
    const path = join(answers.target, "mixture-01.srt");
    await page.waitForFunction(
      (saved) => document.querySelector("#status")!.textContent === `Saved ${saved}`,
      {},
      path,
    );
    assert.match(readFileSync(path, "utf8"), /three open/);
    await chord(page, "Control", "o");
    await page.waitForSelector("[data-state=ready]");
    await page.close();
  });

  test("? lists the keys, and in a dialog they do nothing else", async () => {
    const page = await openPage();
    await chord(page, "Shift", "?");
    await page.waitForSelector("#shortcuts[open]");
    assert.match(await text(page, "#shortcuts"), /Space\s+Play or pause/);
    await chord(page, "Control", "o");
    await page.keyboard.press("Escape");
    await page.waitForSelector("#shortcuts:not([open])");
    assert.ok(await page.$("[data-state=empty]"));
    await page.close();
  });

  test("what has the keyboard can be seen, also in the transcript", async () => {
    const page = await openPage();
    await start(page, MIXTURE, { diarize: true });
    await done(page);
    await page.focus("#save");
    const classes: string[] = [];
    for (let tabs = 0; tabs < 6; tabs += 1) {
      await page.keyboard.press("Tab");
      const { name, outline, opacity } = await page.evaluate(() => {
        const focused = document.activeElement!;
        const { outlineStyle: outline, opacity } = getComputedStyle(focused);
        return { name: focused.className, outline, opacity };
      });
      classes.push(name);
      assert.notEqual(outline, "none", name);
      assert.equal(opacity, "1", name);
    }
    assert.deepEqual(classes, ["time", "name", "edit", "time", "name", "edit"]);
    await page.close();
  });
});
