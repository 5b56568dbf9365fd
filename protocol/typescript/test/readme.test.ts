/** The TypeScript of README.md, and the application in examples/electron/README.md. */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { copyFileSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { delimiter, dirname, join } from "node:path";
import { before, test } from "node:test";
import { promisify } from "node:util";
import { bundledWorker } from "transcription-worker-client";
import { DEMO, MODEL, PACKAGE, ROOT, SHORT, temporary, workerAt } from "./support.js";

const run = promisify(execFile);
const blocks = (document: string, language: string): string[] => {
  const fence = new RegExp(`^\`\`\`${language}\n(.*?)^\`\`\`$`, "gms");
  return [...readFileSync(join(ROOT, document), "utf8").matchAll(fence)].map(([, text]) => text!);
};
const GUIDE = "examples/electron/README.md";
const snippets = blocks("README.md", "ts");
const [manifest, project] = blocks(GUIDE, "json");
const [page] = blocks(GUIDE, "html");
const nameOf = (text: string): string | undefined => /^\/\/ (\w+\.ts)$/m.exec(text)?.[1];
const guide = temporary("guide");
/** What a page and the user would do with the main process of the second snippet. */
const ASK_AND_QUIT = `
import { ipcRenderer } from "electron";
console.log((await ipcRenderer.invoke("transcribe", "speech.wav")).text);
app.quit();
`;
const compiler = join(PACKAGE, "node_modules/typescript/bin/tsc");

/** Puts a package of this one's `node_modules` into a project. */
function provide(directory: string, name: string, target = join(PACKAGE, "node_modules", name)): void {
  const path = join(directory, "node_modules", name);
  mkdirSync(dirname(path), { recursive: true });
  symlinkSync(target, path);
}

async function compile(directory: string, ...args: string[]): Promise<void> {
  const done = run(process.execPath, [compiler, ...args], { cwd: directory });
  await done.catch((error: { stdout: string }) => assert.fail(error.stdout));
}

before(async () => {
  for (const text of blocks(GUIDE, "ts")) writeFileSync(join(guide, nameOf(text)!), text);
  for (const [i, text] of snippets.entries()) writeFileSync(join(guide, `snippet${i}.mts`), text);
  writeFileSync(join(guide, "package.json"), manifest!);
  writeFileSync(join(guide, "tsconfig.json"), project!);
  writeFileSync(join(guide, "index.html"), page!);
  provide(guide, "electron");
  provide(guide, "@types");
  provide(guide, "transcription-worker-client", PACKAGE);
  assert.match(JSON.parse(manifest!).scripts.start, /^tsc && /);
  await compile(guide);
});

test("each block has its place: two snippets, and the files of the application", () => {
  assert.equal(snippets.length, 2);
  assert.deepEqual(blocks(GUIDE, "ts").map(nameOf), ["main.ts", "preload.ts", "renderer.ts"]);
  assert.deepEqual([blocks(GUIDE, "json").length, blocks(GUIDE, "html").length], [2, 1]);
});

test("the page's script is one that a page can load, and asks for elements that are there", () => {
  const script = readFileSync(join(guide, "renderer.js"), "utf8");
  assert.doesNotMatch(script, /require|exports|^import|^export/m);
  const ids = [...page!.matchAll(/ id="(\w+)"/g)].map(([, id]) => id!);
  const asked = new Set([...script.matchAll(/element\("(\w+)"\)/g)].map(([, id]) => id!));
  assert.deepEqual([...asked].sort(), ids.sort());
  assert.match(page!, /<script src="renderer\.js"><\/script>/);
});

test("the packaged worker lies where the client looks for it", () => {
  const { main, build, dependencies } = JSON.parse(manifest!);
  const [resource] = build.extraResources;
  const found = bundledWorker({ resourcesPath: "/r", platform: "linux" });
  assert.equal(found, `/r/${resource.to}/transcription-worker`);
  const makefile = readFileSync(join(ROOT, "Makefile"), "utf8");
  assert.match(makefile, /^BUNDLE := dist\/\$\(\w+\)\/transcription-worker\//m);
  assert.match(resource.from, /\/dist\/lite\/transcription-worker$/);
  assert.equal(main, "main.js");
  const { name, version } = JSON.parse(readFileSync(join(PACKAGE, "package.json"), "utf8"));
  assert.deepEqual(dependencies, { [name]: `file:${name}-${version}.tgz` });
});

test("the snippets and the application run on the real worker", async () => {
  const place = temporary("application");
  for (const file of ["main.js", "preload.js", "index.html", "snippet0.mjs"]) {
    copyFileSync(join(guide, file), join(place, file));
  }
  copyFileSync(SHORT, join(place, "speech.wav"));
  symlinkSync(MODEL, join(place, "small"));
  provide(place, "transcription-worker-client", PACKAGE);
  mkdirSync(join(place, "node_modules/electron"));
  copyFileSync(join(__dirname, "electron.js"), join(place, "node_modules/electron/index.js"));
  workerAt(join(place, "transcription-worker"));
  const env = {
    ...process.env,
    PATH: [place, process.env["PATH"]].join(delimiter),
    RECORDINGS: JSON.stringify([SHORT, "nowhere.wav", DEMO]),
  };
  const node = await run(process.execPath, ["snippet0.mjs"], { cwd: place, env });
  assert.match(node.stdout, /^white open yellow one red six\n$/);

  const electron = readFileSync(join(guide, "snippet1.mjs"), "utf8");
  writeFileSync(join(place, "snippet1.mjs"), electron + ASK_AND_QUIT);
  const asked = await run(process.execPath, ["snippet1.mjs"], { cwd: place, env });
  assert.equal(asked.stdout, "white open yellow one red six\n");

  const { stdout } = await run(process.execPath, ["main.js"], { cwd: place, env });
  const { messages, texts, kinds } = JSON.parse(stdout) as {
    messages: string[];
    texts: string[][];
    kinds: string[][];
  };
  assert.match(messages[0]!, /^Written: .*en-01\.srt$/);
  assert.match(readFileSync(messages[0]!.replace("Written: ", ""), "utf8"), /white open[^]*yellow one/);
  assert.deepEqual(texts[0], ["white open yellow one red six"]);
  assert.deepEqual([kinds[0]![0], kinds[0]!.at(-1)], ["begin", "end"]);
  assert.match(messages[1]!, /^There is no file .* Check the path\.$/);
  assert.equal(messages[2], "Cancelled.");
  assert(texts[2]!.length > 0 && texts[2]!.length < 20);
});
