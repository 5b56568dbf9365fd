import assert from "node:assert/strict";
import { test } from "node:test";
import { Application, FOX, SHORT } from "./application.js";

test("what the microphone hears is written down while it is said", async () => {
  const application = await Application.start({
    switches: [
      "--use-fake-device-for-media-stream",
      `--use-file-for-fake-audio-capture=${SHORT}%noloop`,
    ],
  });
  const { page } = application;
  await application.choose();
  await page.click("#record");
  await page.waitForSelector("[data-state=recording] .said");
  await page.waitForFunction(
    () => document.querySelector("#listening-time")!.textContent! >= "0:06",
  );
  await application.picture("recording");
  await page.click("#record");
  assert.match(await application.done("recorded"), FOX);
  await application.quit();
});
