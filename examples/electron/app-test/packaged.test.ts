import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { Application, CALL, CHICAGO } from "./application.js";

describe("packaged", () => {
  let application: Application;
  before(async () => void (application = await Application.start({ packaged: true })));
  after(() => application.quit());

  test("a recording is transcribed by the frozen worker among its resources", async () => {
    await application.open(CALL);
    await application.transcribe();
    assert.match(await application.done(), CHICAGO);
    await application.picture("packaged");
    const commands = application.family().map(({ command }) => command);
    assert.ok(commands.some((each) => each.includes("/resources/transcription-worker/")));
    assert.ok(!commands.some((each) => each.includes("python")));
  });

  test("the health report says what works and what is not included", async () => {
    const { page } = application;
    await page.click("#check-health");
    await page.waitForSelector("#report .score");
    const parts = await application.texts("#report .parts li");
    assert.ok(parts.includes("RecognitionReady"), parts.join());
    assert.ok(parts.includes("SpeakersNot included"), parts.join());
    await application.picture("health");
    await page.click("#close-health");
  });
});
