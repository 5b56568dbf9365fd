/** Stands in for the preload script: the same API, over HTTP to the loopback. */
import { api, type Api, type News, type Requests } from "../src/api.js";

declare global {
  interface Window {
    transcriber: Api;
  }
}

/** Requests over HTTP overtake each other; those of Electron's IPC do not. */
let sent: Promise<unknown> = Promise.resolve();

window.transcriber = api({
  ask: async (channel, ...args: Parameters<Requests[keyof Requests]>) => {
    const body = JSON.stringify(args);
    await sent;
    return (await fetch(`/ask/${channel}`, { method: "POST", body })).json();
  },
  send: (samples) => {
    const body = new Blob([samples as Float32Array<ArrayBuffer>]);
    sent = sent.then(() => fetch("/samples", { method: "POST", body }));
  },
  listen: (listener) => {
    const source = new EventSource("/news");
    source.onmessage = ({ data }) => listener(JSON.parse(data) as News);
  },
  pathOf: (file) => `/dropped/${file.name}`,
});
