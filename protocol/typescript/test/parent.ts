// An application in the middle of a transcription; it names its worker and waits to be killed.

import { TranscriptionWorker } from "transcription-worker-client";
import { DEMO, MODEL, WORKER } from "./support.js";

void (async () => {
  const worker = await TranscriptionWorker.spawn(WORKER);
  for await (const _ of worker.transcribeStream({ audio: DEMO, model: MODEL })) {
    process.stdout.write(`${worker.processId}\n`);
    await new Promise(() => setInterval(() => {}, 60_000));
  }
})();
