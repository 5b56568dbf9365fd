/** A JSON-RPC client that knows nothing of the worker, the npm package `json-rpc-2.0`, drives it. */
import assert from "node:assert/strict";
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { after, before, test } from "node:test";
import {
  createJSONRPCRequest,
  JSONRPCClient,
  JSONRPCErrorException,
  JSONRPCServer,
  JSONRPCServerAndClient,
} from "json-rpc-2.0";
import { MODEL, SHORT, WORKER } from "./support.js";

interface Progress {
  token: string;
  value: { kind?: string; percentage?: number; segments?: { text: string }[] };
}

let worker: ChildProcess;
let peer: JSONRPCServerAndClient;
const notices: Progress[] = [];
const warnings: unknown[] = [];

before(() => {
  const { command, args = [], cwd } = WORKER;
  worker = spawn(command, args, { cwd, stdio: ["pipe", "pipe", "inherit"] });
  const write = (message: unknown): void => void worker.stdin!.write(`${JSON.stringify(message)}\n`);
  const options = { errorListener: (...said: unknown[]) => void warnings.push(said) };
  peer = new JSONRPCServerAndClient(new JSONRPCServer(options), new JSONRPCClient(write), options);
  peer.addMethod("$/progress", (params: Progress) => void notices.push(params));
  createInterface(worker.stdout!).on("line", (line) => void peer.receiveAndSend(JSON.parse(line)));
});

after(async () => {
  peer.notify("exit", undefined);
  const [code] = (await once(worker, "exit")) as [number];
  assert.equal(code, 0);
  assert.deepEqual(warnings, []);
});

test("a stranger's request is answered", async () => {
  const { serverInfo } = await peer.request("initialize", { clientInfo: { name: "stranger" } });
  assert.equal(serverInfo.name, "transcription-worker");
  assert.deepEqual(await peer.request("ping", {}), {});
});

test("errors have a code, a sentence, and data with the kind and a remedy", async () => {
  const refused = async (method: string, params: object): Promise<JSONRPCErrorException> => {
    try {
      await peer.request(method, params);
    } catch (error) {
      assert(error instanceof JSONRPCErrorException);
      return error;
    }
    return assert.fail(`${method} was not refused`);
  };
  const missing = await refused("transcribe", { audio: "nowhere.wav", model: MODEL });
  assert.equal(missing.code, -32010);
  assert.match(missing.message, /There is no file/);
  assert.deepEqual([missing.data.kind, missing.data.remedy], ["audio_not_found", "Check the path."]);
  assert.equal((await refused("transcribes", {})).code, -32601);
  const wrong = await refused("transcribe", { audio: SHORT, beamSzie: 5 });
  assert.equal(wrong.code, -32602);
  assert.match(wrong.message, /beamSize/);
});

test("a transcription reports progress and parts to the stranger's handler", async () => {
  const result = await peer.request("transcribe", {
    audio: SHORT,
    model: MODEL,
    progressToken: "progress",
    partialResultToken: "parts",
  });
  const values = notices.filter(({ token }) => token === "progress").map(({ value }) => value);
  assert.deepEqual([values[0]?.kind, values.at(-1)?.kind], ["begin", "end"]);
  assert(values.some(({ kind, percentage }) => kind === "report" && percentage === 100));
  const parts = notices.filter(({ token }) => token === "parts").map(({ value }) => value.segments!);
  assert.equal(
    parts.flat().map(({ text }) => text).join(""),
    result.segments.map(({ text }: { text: string }) => text).join(""),
  );
  assert.match(result.text, /white open yellow/);
});

test("the answers to a batch find their requests, and a bad member spoils no other", async () => {
  const ids = ["one", "two", "three"];
  const methods = ["ping", "no/such/method", "ping"];
  const batch = ids.map((id, i) => createJSONRPCRequest(id, methods[i]!, {}));
  const replies = await peer.requestAdvanced(batch);
  assert.deepEqual(
    new Map(replies.map(({ id, result, error }) => [id, error?.code ?? result])),
    new Map<unknown, unknown>([
      ["one", {}],
      ["two", -32601],
      ["three", {}],
    ]),
  );
});

test("a request that the stranger cancels rejects", async () => {
  const request = createJSONRPCRequest("long", "transcribe", { audio: SHORT, model: MODEL });
  const reply = peer.requestAdvanced(request);
  peer.notify("$/cancelRequest", { id: "long" });
  assert.equal((await reply).error?.code, -32800);
});

test("a stranger can end the session", async () => {
  assert.equal(await peer.request("shutdown", {}), null);
});
