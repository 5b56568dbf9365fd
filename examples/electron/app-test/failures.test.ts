import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { Application, CALL, CHICAGO, FOX, LONG, SHORT } from "./application.js";

describe("what is killed comes back", () => {
  let application: Application;
  before(async () => void (application = await Application.start()));
  after(() => application.quit());

  test("a job whose worker is killed begins again, and ends with the same text", async () => {
    const { page } = application;
    await application.open(CALL);
    await application.transcribe();
    const whole = await application.done();
    assert.match(whole, CHICAGO);
    await application.transcribe();
    await application.heard();
    application.kill(/-m worker $/);
    await page.waitForSelector("[data-state=running] [data-kind=worker]");
    await application.picture("worker-killed");
    assert.equal(await application.done("worker"), whole);
  });

  test("a window whose renderer is killed shows the page anew, and a job can be done", async () => {
    await application.open(LONG);
    await application.transcribe();
    await application.heard();
    await application.killPage();
    await application.open(SHORT);
    await application.transcribe();
    assert.match(await application.done(), FOX);
  });

  test("corrections outlive the renderer", async () => {
    await application.correct(" Really.");
    await application.killPage();
    await application.page.waitForSelector("#unsaved:not([hidden])");
    assert.match(await application.said(), /Really/);
    await application.picture("renderer-killed");
    await application.page.click("#undo");
    await application.page.waitForSelector("#unsaved[hidden]");
  });
});
