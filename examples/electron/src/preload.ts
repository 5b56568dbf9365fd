import { contextBridge, ipcRenderer, webUtils } from "electron";
import { api, SAMPLES, type News } from "./api.js";

contextBridge.exposeInMainWorld(
  "transcriber",
  api({
    ask: (channel, ...args) => ipcRenderer.invoke(channel, ...args),
    send: (samples) => ipcRenderer.send(SAMPLES, samples),
    listen: (listener) => void ipcRenderer.on("news", (_, news: News) => listener(news)),
    pathOf: (file) => webUtils.getPathForFile(file),
  }),
);
