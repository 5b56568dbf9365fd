/** Stands in for the preload script: the same API, over HTTP to the loopback. */
import { api, type Api, type News, type Requests } from "../src/api.js";

declare global {
  interface Window {
    transcriber: Api;
  }
}

window.transcriber = api({
  ask: async (channel, ...args: Parameters<Requests[keyof Requests]>) => {
    const body = JSON.stringify(args);
    return (await fetch(`/ask/${channel}`, { method: "POST", body })).json();
  },
  listen: (listener) => {
    const source = new EventSource("/news");
    source.onmessage = ({ data }) => listener(JSON.parse(data) as News);
  },
  pathOf: (file) => `/dropped/${file.name}`,
});
