import assert from "node:assert/strict";
import { copyFileSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { before, describe, test } from "node:test";
import type { Page } from "puppeteer-core";
import { Recent } from "../src/recent.js";
import {
  answers,
  application,
  MIXTURE,
  openPage,
  SHORT,
  temporary,
  text,
  texts,
  withApplication,
} from "./support.js";

async function paths(recent: Recent): Promise<string[]> {
  return (await recent.all()).map(({ path }) => path);
}

test("the last ten are kept, the newest first, each once, also for the next start", async () => {
  const file = join(temporary, "new", "recent.json");
  const recent = new Recent(file);
  await Promise.all(Array.from({ length: 12 }, (_, i) => recent.add(`/${i}`)));
  await recent.add("/5");
  const expected = ["/5", "/11", "/10", "/9", "/8", "/7", "/6", "/4", "/3", "/2"];
  assert.deepEqual(await paths(recent), expected);
  assert.deepEqual(await paths(new Recent(file)), expected);
  assert.deepEqual(readdirSync(join(temporary, "new")), ["recent.json"], "nothing half written");
  await recent.clear();
  assert.deepEqual(await paths(new Recent(file)), []);
});

test("a damaged list, or one that cannot be written, keeps nobody from opening a recording", async () => {
  const damaged = join(temporary, "damaged.json");
  for (const content of ["[{", "null", '[{"path": 1, "opened": "x"}]', "{}"]) {
    writeFileSync(damaged, content);
    const recent = new Recent(damaged);
    assert.deepEqual(await paths(recent), [], content);
    await recent.add("/a");
    assert.deepEqual(await paths(new Recent(damaged)), ["/a"]);
  }
  const nowhere = new Recent(join(damaged, "recent.json"));
  await nowhere.add("/a");
  assert.deepEqual(await paths(nowhere), ["/a"]);
});

describe("recent recordings", () => {
  withApplication();

  const [one, other] = [join(temporary, "one.flac"), join(temporary, "other.flac")];
  before(() => {
    copyFileSync(MIXTURE, one);
    copyFileSync(SHORT, other);
  });

  async function open(page: Page, path: string): Promise<void> {
    answers.recording = path;
    await page.click("#open");
    await page.waitForFunction(
      (name) => document.querySelector("#file")!.textContent === name,
      {},
      path.slice(temporary.length + 1),
    );
  }

  const shown = (page: Page, place: string): Promise<string[]> => texts(page, `${place} li span`);

  test("what was opened is offered to the next page, which never learns a path", async () => {
    const first = await openPage();
    assert.ok(await first.$("#recent[hidden]"));
    await open(first, one);
    await open(first, other);
    await first.close();
    const page = await openPage();
    await page.waitForSelector("#recent:not([hidden])");
    assert.deepEqual(await shown(page, "#recent"), ["other.flac", "one.flac"]);
    assert.deepEqual(await texts(page, "#recent time"), ["today", "today"]);
    const answer = await page.evaluate(() => window.transcriber.recent());
    assert.ok(!JSON.stringify(answer).includes(temporary));
    await page.click("#recent li:nth-child(2) button");
    await page.waitForSelector("[data-state=ready]");
    assert.equal(await text(page, "#file"), "one.flac");
    await page.waitForFunction(() => document.querySelector("audio")!.duration === 15);

    await page.click("#show-recent");
    await page.waitForFunction(
      () => document.querySelector("#recent-menu span")?.textContent === "one.flac",
    );
    assert.deepEqual(await shown(page, "#recent-menu"), ["one.flac", "other.flac"]);
    await page.click("#recent-menu li:nth-child(2) button");
    await page.waitForFunction(() => document.querySelector("#file")!.textContent === "other.flac");
    assert.equal(await page.$("#recent-menu:popover-open"), null);
    await page.close();
  });

  test("one that is gone is told and taken off the list, which can be cleared", async () => {
    rmSync(one);
    const page = await openPage();
    await page.waitForSelector("#recent:not([hidden])");
    await page.click("#recent li:nth-child(2) button");
    await page.waitForSelector("[role=alert]");
    assert.equal(await text(page, "[role=alert] .message"), "one.flac is no longer there.");
    assert.match(await text(page, "[role=alert] .remedy"), /off the list/);
    await page.waitForFunction(() => document.querySelectorAll("#recent li").length === 1);
    assert.deepEqual(await shown(page, "#recent"), ["other.flac"]);
    await page.click("#recent .link");
    await page.waitForSelector("#recent[hidden]");
    const recent = await application.session.handle("recent", []);
    assert.deepEqual(recent, { ok: true, value: [] });
    assert.equal(readFileSync(join(temporary, "recent.json"), "utf8"), "[]");
    await page.close();
  });
});
