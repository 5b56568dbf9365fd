import assert from "node:assert/strict";
import { test } from "node:test";
import { Application, LONG, SHORT } from "./application.js";
import { gone, press, toFront } from "./desktop.js";

/** The ways in which the application ends. */
const ENDS: Record<string, (application: Application) => Promise<unknown> | void> = {
  "Alt+F4": async () => {
    await toFront("demo.flac");
    await press("alt+F4");
  },
  "window.close": ({ page }) => page.evaluate(() => window.close()),
  "app.quit": (application) => application.quit(),
  SIGTERM: ({ main }) => void main.kill("SIGTERM"),
  SIGKILL: ({ main }) => void main.kill("SIGKILL"),
};

for (const [name, end] of Object.entries(ENDS)) {
  test(`${name} leaves no process, while a job runs`, async () => {
    const application = await Application.start();
    await application.open(LONG);
    await application.transcribe();
    await application.heard();
    application.family();
    await end(application);
    await application.ended();
  });
}

test("SIGKILL leaves no process, while nothing runs", async () => {
  const application = await Application.start();
  application.family();
  application.main.kill("SIGKILL");
  await application.ended();
});

test("a window with corrections that no file has asks before it closes", async () => {
  const application = await Application.start();
  await application.open(SHORT);
  await application.transcribe();
  await application.done();
  await application.correct(" Really.");
  const closeAndAnswer = async (...keys: string[]): Promise<void> => {
    await toFront("quick_brown_fox");
    await press("alt+F4");
    await toFront("Transcriber"); // the native question
    for (const key of keys) await press(key);
    await gone("Transcriber");
  };
  await closeAndAnswer("Escape");
  assert.match(await application.said(), /Really/);
  application.family();
  await closeAndAnswer("Left", "Return");
  await application.ended();
});
