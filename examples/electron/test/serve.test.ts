import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { serving } from "../src/serve.js";

const directory = mkdtempSync(join(tmpdir(), "serve-"));
after(() => rmSync(directory, { recursive: true, force: true }));
const recording = join(directory, "recording");
writeFileSync(recording, "0123456789");
const serve = serving(join(__dirname, "../dist/page"), (id) =>
  id === "open" ? recording : undefined,
);

function ask(path: string, range?: string): Promise<Response> {
  return serve(new Request(`http://localhost${path}`, range ? { headers: { range } } : {}));
}

test("a recording is served whole, and in the range that is asked for", async () => {
  const whole = await ask("/audio/open");
  assert.equal(whole.status, 200);
  assert.equal(await whole.text(), "0123456789");
  const ranges = {
    "bytes=2-4": "234",
    "bytes=7-": "789",
    "bytes=-3": "789",
    "bytes=5-99": "56789",
  };
  for (const [range, expected] of Object.entries(ranges)) {
    const part = await ask("/audio/open", range);
    assert.equal(part.status, 206, range);
    assert.equal(part.headers.get("content-length"), String(expected.length));
    assert.match(part.headers.get("content-range")!, /^bytes \d-9?\d?\/10$/);
    assert.equal(await part.text(), expected, range);
  }
});

test("a range beyond the recording is refused with its size", async () => {
  const beyond = await ask("/audio/open", "bytes=10-");
  assert.equal(beyond.status, 416);
  assert.equal(beyond.headers.get("content-range"), "bytes */10");
});

test("nothing is served but the page and what is open", async () => {
  const paths = ["/audio/other", "/main.js", "/../main.js", "/%2e%2e/main.js", "/audio/..%2fopen"];
  for (const path of paths) assert.equal((await ask(path)).status, 404, path);
});

test("the page comes with a policy that allows no inline code and no other origin", async () => {
  const policy = (await ask("/")).headers.get("content-security-policy")!;
  assert.match(policy, /default-src 'none'/);
  assert.doesNotMatch(policy, /unsafe|\*|data:|http/);
});
