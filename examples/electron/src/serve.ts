/** Serves the page and the opened recordings. It does not depend on Electron. */
import { createReadStream } from "node:fs";
import { readFile, stat } from "node:fs/promises";
import { extname, join } from "node:path";
import { Readable } from "node:stream";

const TYPES: Record<string, string> = {
  ".html": "text/html; charset=utf-8",
  ".css": "text/css; charset=utf-8",
  ".js": "text/javascript; charset=utf-8",
};

const POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "connect-src 'self'",
  "media-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join("; ");

/** The page's own files; no others are served. */
const PAGES: Record<string, string> = {
  "/": "index.html",
  "/page.css": "page.css",
  "/page.js": "page.js",
  "/worklet.js": "worklet.js",
};

/** Serves the page from the folder `pages`, and recordings under `/audio/ID`. */
export function serving(
  pages: string,
  pathOf: (recording: string) => string | undefined,
): (request: Request) => Promise<Response> {
  return async (request) => {
    const { pathname } = new URL(request.url);
    const [, recording] = /^\/audio\/([^/]+)$/.exec(pathname) ?? [];
    if (recording !== undefined) {
      const path = pathOf(recording);
      return path === undefined ? absent() : audio(path, request.headers.get("range"));
    }
    const page = PAGES[pathname];
    if (page === undefined) return absent();
    return new Response(await readFile(join(pages, page)), {
      headers: {
        "content-type": TYPES[extname(page)]!,
        "content-security-policy": POLICY,
        "x-content-type-options": "nosniff",
      },
    });
  };
}

function absent(): Response {
  return new Response("The file does not exist.", { status: 404 });
}

/** The recording, or the requested range of it: a player requests ranges to seek. */
async function audio(path: string, range: string | null): Promise<Response> {
  const file = await stat(path).catch(() => undefined);
  if (!file?.isFile()) return absent();
  const { size } = file;
  const [, first = "", last = ""] = /^bytes=(\d*)-(\d*)$/.exec(range ?? "") ?? [];
  const whole = first === "" && last === "";
  const start = first === "" && !whole ? Math.max(0, size - Number(last)) : Number(first);
  const end = first === "" || last === "" ? size - 1 : Math.min(Number(last), size - 1);
  if (!whole && start > end) {
    return new Response(null, { status: 416, headers: { "content-range": `bytes */${size}` } });
  }
  const headers = new Headers({
    "accept-ranges": "bytes",
    "cache-control": "no-store",
    "content-length": String(whole ? size : end - start + 1),
    "content-type": "application/octet-stream",
  });
  if (!whole) headers.set("content-range", `bytes ${start}-${end}/${size}`);
  const stream = size === 0 ? null : createReadStream(path, whole ? {} : { start, end });
  const body = stream && (Readable.toWeb(stream) as ReadableStream<Uint8Array>);
  return new Response(body, { status: whole ? 200 : 206, headers });
}
