import assert from "node:assert/strict";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import type { Page } from "puppeteer-core";
import { bridge, WORKER, type Bridge } from "./bridge.js";
import { hub, type Hub } from "./hub.js";
import {
  done,
  MIXTURE,
  openPage,
  SETTINGS,
  temporary,
  text,
  texts,
  withApplication,
} from "./support.js";

const TINY = '#choices [data-model="tiny"]';

describe("the models", () => {
  withApplication();

  let models: Hub;
  let application: Bridge;
  before(async () => {
    models = await hub();
    const env = {
      HF_HOME: join(temporary, "online"),
      HF_ENDPOINT: models.url,
      HF_HUB_OFFLINE: "0",
    };
    application = await bridge({
      worker: { ...WORKER, env: { ...process.env, ...env } },
      chooseRecording: async () => MIXTURE,
      settings: SETTINGS,
    });
  });
  after(async () => {
    await application.close();
    models.close();
  });

  async function choosing(): Promise<Page> {
    const page = await openPage("dark", application.url);
    await page.waitForSelector("#language option[value=en]");
    await page.click("#choose-model");
    await page.waitForSelector(TINY);
    return page;
  }

  test("each has its size, its languages, and whether it is on this machine", async () => {
    const page = await choosing();
    const names = await texts(page, "#choices strong");
    assert.deepEqual(names.slice(0, 6), [
      "tiny",
      "tiny.en",
      "base",
      "base.en",
      "small",
      "small.en",
    ]);
    assert.ok(!names.includes("large") && names.includes("large-v3"), "each once");
    assert.equal(await text(page, `${TINY} .choice span`), "76 MB, 100 languages");
    const english = '#choices [data-model="medium.en"]';
    assert.equal(await text(page, `${english} .choice span`), "1.5 GB, English only");
    assert.equal(await text(page, `${english} > button:last-child`), "Download");
    assert.match(await text(page, "#room"), /^This machine has \d.* of free disk\.$/);
    await page.click(`${english} .choice`);
    await page.waitForSelector("#chooser:not([open])");
    assert.equal(
      await page.$eval("#model", (field) => (field as HTMLInputElement).value),
      "medium.en",
    );
    assert.equal(await text(page, "#model-facts"), "1.5 GB, English only, to be downloaded");
    await page.click("#model", { count: 3 });
    await page.keyboard.type("owner/name");
    assert.match(await text(page, "#model-facts"), /hub, or a folder/);
    await page.close();
  });

  test("one is downloaded with progress, cancelled, gone on with, and used", async () => {
    const page = await choosing();
    await page.click(`${TINY} .choice`);
    await page.click("#choose-model");
    await page.click(`${TINY} [data-act=download]`);
    await page.waitForFunction(
      (item) =>
        /^1\.\d MB of 3\.1 MB$/.test(document.querySelector(`${item} output`)?.textContent ?? ""),
      {},
      TINY,
    );
    const share = await page.$eval(
      `${TINY} progress`,
      (bar) => (bar as HTMLProgressElement).position,
    );
    assert.ok(share > 0.2 && share < 0.6, String(share));
    assert.match(await text(page, "#model-facts"), /downloading: 1\.\d MB of 3\.1 MB$/);
    await page.click(`${TINY} [data-act=halt]`);
    await page.waitForSelector(`${TINY} [data-act=download]`);
    assert.equal(await text(page, `${TINY} [data-act=download]`), "Go on downloading");
    assert.equal(await text(page, "#status"), "tiny was not downloaded.");

    await page.click(`${TINY} [data-act=download]`);
    await page.waitForSelector(`${TINY} .there`);
    assert.equal(await text(page, "#status"), "tiny is on this machine.");
    await page.keyboard.press("Escape");
    assert.match(await text(page, "#model-facts"), /on this machine$/);
    for (const stage of ["#align", "#diarize", "#open"]) await page.click(stage);
    await page.waitForSelector("[data-state=ready]");
    await page.select("#language", "en");
    await page.click("#start");
    await done(page);
    assert.equal((await texts(page, "#segments .said"))[0], "down five white up stop");
    await page.close();
  });

  test("a job that downloads its model says how much of it has come", async () => {
    const page = await openPage("dark", application.url);
    await page.evaluate(() => {
      const seen = new Set<string>();
      Object.assign(window, { seen });
      const note = (): void => void seen.add(document.querySelector("#doing")!.textContent!);
      const all = { subtree: true, childList: true, characterData: true };
      new MutationObserver(note).observe(document.querySelector("#doing")!, all);
    });
    for (const each of ["#align", "#diarize", "#download", "#open"]) await page.click(each);
    await page.waitForSelector("[data-state=ready]");
    await page.$eval("#model", (field) => ((field as HTMLInputElement).value = "tiny.en"));
    await page.click("#start");
    await done(page);
    const seen = await page.evaluate(() => [...(window as unknown as { seen: Set<string> }).seen]);
    const told = seen.filter((doing) => /^Downloading .*: [\d.]+ [kM]B of 3\.1 MB$/.test(doing));
    assert.ok(told.length > 1, String(seen));
    await page.waitForFunction(() =>
      document.querySelector("#model-facts")!.textContent!.endsWith("on this machine"),
    );
    await page.close();
  });

  test("one that cannot be downloaded is told, with a remedy", async () => {
    const page = await choosing();
    await page.click('#choices [data-model="base"] [data-act=download]');
    await page.waitForSelector("[role=alert]");
    assert.equal(await page.$("#chooser[open]"), null, "nothing hides it");
    assert.match(await text(page, "[role=alert] .message"), /base/);
    assert.notEqual(await text(page, "[role=alert] .remedy"), "");
    await page.close();
  });
});
