import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { copyFileSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { before, test } from "node:test";
import { promisify } from "node:util";
import { MODEL, PACKAGE, SHORT, temporary, WORKER, workerAt } from "./support.js";

const run = promisify(execFile);
const consumer = temporary("consumer of the package");
const SPAWN = `TranscriptionWorker.spawn(${JSON.stringify(WORKER)})`;
const PING = `${SPAWN}.then(async (worker) => {
  await worker.ping();
  console.log((await worker.close()).exitCode, new RpcError("m", { code: 1, message: "" }).name);
});`;

/** Without a network; the worker is one that has to be found. */
const env = {
  ...process.env,
  TRANSCRIPTION_WORKER: workerAt(join(temporary(), "worker")),
  npm_config_offline: "true",
  npm_config_audit: "false",
  npm_config_fund: "false",
  npm_config_cache: temporary("cache"),
};
let installed = "";

before(async () => {
  // `npm test` has built it.
  await run("npm", ["pack", "--ignore-scripts", "--pack-destination", consumer], { cwd: PACKAGE });
  writeFileSync(join(consumer, "package.json"), "{}");
  const [commands] = blocks("sh");
  installed = (await run("sh", ["-ec", commands!], { cwd: consumer, env })).stdout;
});

async function runs(file: string, source: string): Promise<void> {
  writeFileSync(join(consumer, file), source);
  const { stdout } = await run(process.execPath, [file], { cwd: consumer });
  assert.equal(stdout, "0 RpcError\n");
}

/** Type-checks files with everything strict, the package's own declarations too. */
async function typeChecks(files: Record<string, string>, options: object): Promise<void> {
  const directory = join(consumer, "types");
  mkdirSync(directory, { recursive: true });
  for (const [file, source] of Object.entries(files)) writeFileSync(join(directory, file), source);
  const compilerOptions = {
    strict: true,
    exactOptionalPropertyTypes: true,
    noUncheckedIndexedAccess: true,
    noEmit: true,
    target: "es2022",
    ...options,
  };
  const project = join(directory, "tsconfig.json");
  writeFileSync(project, JSON.stringify({ compilerOptions, files: Object.keys(files) }));
  const compiler = join(PACKAGE, "node_modules/typescript/bin/tsc");
  await run(process.execPath, [compiler, "-p", project]).catch((error: { stdout: string }) =>
    assert.fail(error.stdout),
  );
}

function blocks(language: string): string[] {
  const readme = readFileSync(join(PACKAGE, "README.md"), "utf8");
  const fence = new RegExp(`^\`\`\`${language}\n(.*?)^\`\`\`$`, "gms");
  return [...readme.matchAll(fence)].map(([, source]) => source!);
}

/** What the compiler makes of a source. */
function outputs(source: string): string[] {
  const [, name, kind] = /^(\w+)\.(m?)ts$/.exec(source)!;
  return [`${name}.${kind}js`, `${name}.d.${kind}ts`];
}

test("the package has what it needs, and nothing else", () => {
  const root = join(consumer, "node_modules/transcription-worker-client");
  assert.deepEqual(readdirSync(root).sort(), ["LICENSE", "README.md", "dist", "package.json"]);
  const sources = readdirSync(join(PACKAGE, "src")).filter((name) => /\.m?ts$/.test(name));
  assert.deepEqual(readdirSync(join(root, "dist")).sort(), sources.flatMap(outputs).sort());
  const { dependencies } = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as {
    dependencies?: object;
  };
  assert.equal(dependencies, undefined);
});

test("the commands of the README install it and find the worker", () => {
  const { version } = JSON.parse(readFileSync(join(PACKAGE, "package.json"), "utf8"));
  assert.equal(blocks("sh").length, 1);
  assert.match(installed, new RegExp(`^transcription-worker ${version}$`, "m"));
});

test("it can be imported", () =>
  runs(
    "module.mjs",
    `import { RpcError, TranscriptionWorker } from "transcription-worker-client";\n${PING}`,
  ));

test("it can be required", () =>
  runs(
    "common.cjs",
    `const { RpcError, TranscriptionWorker } = require("transcription-worker-client");\n${PING}`,
  ));

test("import and require give the same classes", () =>
  runs(
    "both.mjs",
    `import { createRequire } from "node:module";
import { RpcError } from "transcription-worker-client";
const required = createRequire(import.meta.url)("transcription-worker-client");
console.log(0, required.RpcError === RpcError ? RpcError.name : "two");`,
  ));

test("its types hold in a strict program that has no types of Node", () => {
  const source = `
import { TranscriptionWorker, type LiveStream, type Progress, type Result, type Transcript } from "transcription-worker-client";
export async function use(worker: TranscriptionWorker, formats: ("srt" | "vtt")[]): Promise<string | undefined> {
  const result: Result<"transcribe"> = await worker.transcribe(
    { audio: "a.wav", align: true },
    { onPartial: (part) => part.segments[0]?.text, onProgress: (progress: Progress) => progress.kind },
  );
  const transcript: Transcript = result;
  const { contents } = await worker.export({ transcript, formats });
  const listed = await worker.request("models/list", { cachedOnly: true });
  await worker.models.list();
  const live: LiveStream = worker.live({ sampleRate: 48_000 }, { onPartial: (part) => part.lag });
  live.push(new Float32Array(1));
  await live.write(new Int16Array(1), 0.5);
  for await (const part of live) part.segments.map(({ final, words }) => final || words[0]?.final);
  const spoken: Transcript = await live.finish();
  // @ts-expect-error bytes are no samples
  live.push(new Uint8Array(1));
  // @ts-expect-error there is no such rate
  worker.live({ sampleRate: "48000" });
  // @ts-expect-error audio is required
  await worker.transcribe({});
  // @ts-expect-error there is no such option
  await worker.transcribe({ audio: "a.wav", beamsize: 5 });
  // @ts-expect-error tokens are the client's affair
  await worker.transcribe({ audio: "a.wav", progressToken: 1 });
  // @ts-expect-error ping has no progress
  await worker.ping({}, { onProgress: () => {} });
  // @ts-expect-error there is no such method
  await worker.request("transcribes", {});
  return contents?.["srt"] ?? spoken.language ?? listed.models[0]?.name;
}
`;
  const options = { module: "node16", lib: ["es2022", "dom"], types: [] };
  return typeChecks({ "use.mts": source, "use.cts": source }, options);
});

test("the first example of the README runs as it stands", async () => {
  const [example] = blocks("ts");
  const place = join(consumer, "example");
  mkdirSync(place);
  copyFileSync(SHORT, join(place, "speech.wav"));
  symlinkSync(MODEL, join(place, "small"));
  writeFileSync(join(place, "example.mjs"), example!);
  const { stdout } = await run(process.execPath, ["example.mjs"], { cwd: place, env });
  assert.match(stdout, /^recognition 100$/m);
  assert.match(stdout, /^en \d/m);
});

test("each example of the README is valid, under the resolution of Node and of bundlers", async () => {
  assert.equal(blocks("ts").length, 5);
  const files = Object.fromEntries(blocks("ts").map((source, i) => [`example-${i}.mts`, source]));
  symlinkSync(join(PACKAGE, "node_modules/@types"), join(consumer, "node_modules/@types"));
  await typeChecks(files, { module: "node16", types: ["node"] });
  await typeChecks(files, { module: "esnext", moduleResolution: "bundler", types: ["node"] });
});
