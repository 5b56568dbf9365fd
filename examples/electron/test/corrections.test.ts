import assert from "node:assert/strict";
import { mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { beforeEach, describe, test } from "node:test";
import type { Page } from "puppeteer-core";
import {
  answers,
  application,
  done,
  MIXTURE,
  openPage,
  start,
  temporary,
  text,
  texts,
  withApplication,
} from "./support.js";

/** Of the mixture: segments by SPEAKER_00, 01, 00, 01, 00, 02. */
const [FIRST, SECOND, LAST] = ["down five white up stop", "three open", "house go"];

/** The page with a finished transcript of three speakers. */
async function transcribed(): Promise<Page> {
  const page = await openPage();
  await start(page, MIXTURE, { align: true, diarize: true });
  await done(page);
  return page;
}

async function type(page: Page, typed: string, key = "Enter"): Promise<void> {
  await page.keyboard.type(typed);
  await page.keyboard.press(key as "Enter");
}

const legend = (page: Page): Promise<string[]> => texts(page, "#speakers-legend li");
const names = (page: Page): Promise<string[]> => texts(page, "#segments .name");
const said = (page: Page): Promise<string[]> => texts(page, "#segments .said");

/** Waits for what a screen reader would say. */
async function told(page: Page, what: string): Promise<void> {
  await page.waitForFunction(
    (expected) => document.querySelector("#status")!.textContent === expected,
    {},
    what,
  );
}

async function rename(page: Page, at: number, name: string): Promise<void> {
  await (await page.$$("#speakers-legend button"))[at]!.click();
  await type(page, name);
}

/** Corrects the text of a segment: the caret is at its end. */
async function edit(page: Page, at: number): Promise<void> {
  await (await page.$$("#segments .time"))[at]!.focus();
  await page.keyboard.press("F2");
  await page.waitForSelector("textarea.said");
}

async function retype(page: Page, at: number, typed: string): Promise<void> {
  await edit(page, at);
  await page.$eval("textarea.said", (field) => (field as HTMLTextAreaElement).select());
  if (typed === "") await page.keyboard.press("Delete");
  await type(page, typed);
  await page.waitForSelector("textarea.said", { hidden: true });
}

/** Saves in a format, and returns the file's content. */
async function saved(page: Page, format: string): Promise<string> {
  const path = join(answers.target, `mixture-01.${format === "textgrid" ? "TextGrid" : format}`);
  await page.select("#format", format);
  await page.click("#save");
  await told(page, `Saved ${path}`);
  return readFileSync(path, "utf8");
}

describe("corrections", () => {
  withApplication();

  let count = 0;
  beforeEach(() => {
    count += 1;
    answers.target = join(temporary, `saved-${count}`);
    mkdirSync(answers.target);
  });

  test("a speaker is renamed everywhere, by the legend or in the transcript", async () => {
    const page = await transcribed();
    const colour = (): Promise<string> =>
      page.$eval("#segments li", (item) => getComputedStyle(item).borderLeftColor);
    const before = await colour();
    await rename(page, 0, "Ana");
    await told(page, "Renamed to Ana.");
    assert.deepEqual(await legend(page), ["Ana", "Speaker 2", "Speaker 3"]);
    assert.equal(await colour(), before, "a speaker keeps the colour");
    await page.click("#segments li:nth-child(2) .name");
    await type(page, "<b>Bo</b>");
    await told(page, "Renamed to <b>Bo</b>.");
    assert.deepEqual(await names(page), [
      "Ana",
      "<b>Bo</b>",
      "Ana",
      "<b>Bo</b>",
      "Ana",
      "Speaker 3",
    ]);
    const focused = await page.evaluate(() => document.activeElement!.textContent);
    assert.equal(focused, "<b>Bo</b>", "the keyboard is where it was");
    await page.close();
  });

  test("Escape keeps a name, an empty one is refused, and leaving the field takes it", async () => {
    const page = await transcribed();
    await page.click("#segments .name");
    await type(page, "Nobody", "Escape");
    assert.equal((await names(page))[0], "Speaker 1");
    await page.click("#segments .name");
    await page.keyboard.press("Delete");
    await page.keyboard.press("Enter");
    const problem = await page.$eval(
      "input.name",
      (field) => (field as HTMLInputElement).validationMessage,
    );
    assert.equal(problem, "A speaker needs a name.");
    await page.keyboard.press("Escape");
    assert.deepEqual(await legend(page), ["Speaker 1", "Speaker 2", "Speaker 3"]);
    assert.ok(await page.$("#undo[hidden]"), "nothing has changed");
    await page.click("#segments .name");
    await page.keyboard.type("Ana");
    await page.click("#summary");
    await told(page, "Renamed to Ana.");
    await page.close();
  });

  test("two speakers of one name become one, which is told and can be undone", async () => {
    const page = await transcribed();
    await rename(page, 0, "Speaker 3");
    await page.waitForSelector("[data-kind=merged]");
    assert.match(await text(page, "[data-kind=merged] .message"), /Speaker 1 .*Speaker 3’s now/);
    assert.deepEqual(await legend(page), ["Speaker 3", "Speaker 2"]);
    const rttm = await saved(page, "rttm");
    assert.match(rttm, /SPEAKER_02/);
    assert.doesNotMatch(rttm, /SPEAKER_00/);
    await page.click("[data-kind=merged] .primary");
    await told(page, "Undone.");
    assert.deepEqual(await legend(page), ["Speaker 1", "Speaker 2", "Speaker 3"]);
    assert.match(await saved(page, "rttm"), /SPEAKER_00/);

    await rename(page, 0, "Speaker 3");
    await page.waitForSelector("[data-kind=merged]");
    await retype(page, 1, "three");
    await told(page, "Corrected.");
    assert.equal(await page.$("[data-kind=merged]"), null, "its button would undo something else");
    await page.close();
  });

  test("a text is corrected by double click, by its button or by F2, and Escape leaves it", async () => {
    const page = await transcribed();
    await page.click("#segments .said", { count: 2 });
    await page.waitForSelector("textarea.said");
    assert.ok(await page.$eval("audio", (audio) => (audio as HTMLAudioElement).paused));
    await page.keyboard.press("End");
    await type(page, " soon", "Escape");
    assert.equal((await said(page))[0], FIRST);
    await page.hover("#segments li:nth-child(2)");
    await page.click("#segments li:nth-child(2) .edit");
    await type(page, " up <i>now</i>");
    await told(page, "Corrected.");
    await retype(page, 5, "horse  go\t");
    assert.deepEqual((await said(page)).slice(0, 2), [FIRST, `${SECOND} up <i>now</i>`]);
    assert.equal((await said(page))[5], "horse go");
    const focused = await page.evaluate(() => document.activeElement!.className);
    assert.equal(focused, "edit", "the keyboard is where it was");

    await edit(page, 0);
    await page.$eval("textarea.said", (field) => {
      (field as HTMLTextAreaElement).value = "a".repeat(10_001);
    });
    await page.keyboard.press("Enter");
    await page.waitForSelector("[role=alert][data-kind=refused]");
    assert.equal((await page.$$("[role=alert]")).length, 1);
    const kept = await page.$eval("textarea.said", (field) => (field as HTMLTextAreaElement).value);
    assert.equal(kept.length, 10_001, "what cannot be taken is not lost");
    await page.close();
  });

  test("every format has the corrected names, texts and words, and the times of the others", async () => {
    const page = await transcribed();
    const before = JSON.parse(await saved(page, "json"));
    await rename(page, 0, "Ana");
    await told(page, "Renamed to Ana.");
    await retype(page, 0, "down nine white up, stop there");
    const after = JSON.parse(await saved(page, "json"));
    const [old, now] = [before.segments[0], after.segments[0]];
    assert.equal(now.text.trim(), "down nine white up, stop there");
    assert.deepEqual([now.speaker, now.start, now.end], ["Ana", old.start, old.end]);
    const words = now.words.map(({ word }: { word: string }) => word);
    assert.deepEqual(words, ["down", "nine", "white", "up,", "stop", "there"]);
    for (const at of [0, 1, 2, 3]) {
      const { start, end } = old.words[at];
      assert.deepEqual([now.words[at].start, now.words[at].end], [start, end], "time of a word");
    }
    const [last, stop, there] = [old.words[4], now.words[4], now.words[5]];
    assert.ok(
      last.start === stop.start && stop.end <= there.start,
      "the last words share the time",
    );
    assert.deepEqual(after.segments.slice(1), before.segments.slice(1).map(named));
    assert.ok(after.turns.every(({ speaker }: { speaker: string }) => speaker !== "SPEAKER_00"));

    const spoken = /down nine white up, stop there/;
    assert.match(
      await saved(page, "srt"),
      /^1\r?\n00:00:00,743 --> 00:00:02,577\r?\n\[Ana\]: down nine white up, stop there\r?\n/,
    );
    assert.match(await saved(page, "vtt"), /<v Ana>down nine white up, stop there/);
    assert.match(await saved(page, "textgrid"), /name = "Ana[^]*text = "nine"[^]*text = "there"/);
    assert.match(await saved(page, "html"), />nine<[^]*>there/);
    for (const format of ["txt", "csv", "lrc", "ass"]) {
      const content = await saved(page, format);
      assert.match(content, spoken, format);
      assert.match(content, /Ana/, format);
    }
    assert.match(await saved(page, "tsv"), spoken);
    assert.match(await saved(page, "rttm"), /^SPEAKER mixture-01 1 .* Ana /m);
    await page.close();

    function named<T extends { speaker: string; words: { speaker: string }[] }>(segment: T): T {
      if (segment.speaker !== "SPEAKER_00") return segment;
      const words = segment.words.map((word) => ({ ...word, speaker: "Ana" }));
      return { ...segment, speaker: "Ana", words };
    }
  });

  test("a segment without text is removed, also from the files, and undoing brings it back", async () => {
    const page = await transcribed();
    await retype(page, 5, "");
    await told(page, "Removed.");
    assert.equal((await said(page)).length, 5);
    assert.deepEqual(await legend(page), ["Speaker 1", "Speaker 2", "Speaker 3"]);
    assert.doesNotMatch(await saved(page, "txt"), new RegExp(LAST!));
    await page.click("#summary");
    await page.keyboard.down("Control");
    await page.keyboard.press("z");
    await page.keyboard.up("Control");
    await told(page, "Undone.");
    assert.equal((await said(page))[5], LAST);
    assert.match(await saved(page, "txt"), new RegExp(LAST!));
    await page.close();
  });

  test("corrections that no file has are lost only if the user says so", async () => {
    const page = await transcribed();
    const { session } = application;
    assert.equal(session.unsaved, false);
    await edit(page, 0);
    await page.keyboard.type(" now");
    await page.click("#start"); // leaves the field, too
    await page.waitForSelector("#discard[open]");
    assert.equal(session.unsaved, true);
    await page.keyboard.press("Escape");
    await page.waitForSelector("#discard:not([open])");
    assert.ok(await page.$("[data-state=done]"));
    assert.equal((await said(page))[0], `${FIRST} now`);

    await saved(page, "rttm");
    assert.equal(session.unsaved, true, "rttm has no text");
    assert.ok(await page.$("#unsaved:not([hidden])"));
    await edit(page, 1);
    await page.keyboard.type(" then");
    await page.select("#format", "srt");
    await page.keyboard.down("Control");
    await page.keyboard.press("s"); // also what is being typed
    await page.keyboard.up("Control");
    await told(page, `Saved ${join(answers.target, "mixture-01.srt")}`);
    assert.match(readFileSync(join(answers.target, "mixture-01.srt"), "utf8"), /three open then/);
    assert.equal(session.unsaved, false);

    await rename(page, 0, "Ana");
    await told(page, "Renamed to Ana.");
    await page.click("#open");
    await page.waitForSelector("#discard[open]");
    await page.click("#do-discard");
    await page.waitForSelector("[data-state=ready]");
    assert.equal(session.unsaved, false);
    await page.close();
  });

  test("a page that crashed has its transcript and the corrections again", async () => {
    const page = await transcribed();
    await rename(page, 0, "Ana");
    await told(page, "Renamed to Ana.");
    await page.close();
    application.session.abandon();
    const other = await openPage();
    await other.waitForSelector("[data-state=done]");
    assert.deepEqual(await legend(other), ["Ana", "Speaker 2", "Speaker 3"]);
    assert.ok(await other.$("#unsaved:not([hidden])"));
    await other.click("#undo");
    await told(other, "Undone.");
    assert.deepEqual(await legend(other), ["Speaker 1", "Speaker 2", "Speaker 3"]);
    await other.close();
    const fresh = await openPage();
    assert.ok(await fresh.$("[data-state=empty]"));
    await fresh.close();
  });

  test("while a transcript is not finished, there is nothing to correct", async () => {
    const page = await openPage();
    await start(page, MIXTURE, { diarize: true });
    await page.waitForSelector("[data-state=running] #segments li");
    assert.equal((await page.$$("[data-state=running] :is(.edit, button.name)")).length, 0);
    await done(page);
    assert.ok(await page.$("button.name"));
    await page.close();
    const refused = await application.session.handle("rename", ["SPEAKER_07", "Ana"]);
    assert.ok(!refused.ok && refused.failure.kind === "refused");
  });
});
