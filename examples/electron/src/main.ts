import { extname, join } from "node:path";
import {
  app,
  BrowserWindow,
  dialog,
  ipcMain,
  protocol,
  session,
  systemPreferences,
  type WebFrameMain,
} from "electron";
import { bundledWorker } from "transcription-worker-client";
import { CHANNELS, SAMPLES } from "./api.js";
import { ORIGIN, permitted } from "./permissions.js";
import { serving } from "./serve.js";
import { Session } from "./session.js";

const AUDIO = "aac aif aiff flac m4a m4b mp3 oga ogg opus wav wma".split(" ");
const VIDEO = "avi mkv mov mp4 webm wmv".split(" ");

/** From source: the worker of this repository, unless TRANSCRIPTION_WORKER names a program. */
function worker(): { command: string; args?: string[]; cwd?: string } {
  if (app.isPackaged) return { command: bundledWorker() };
  const command = process.env["TRANSCRIPTION_WORKER"];
  if (command) return { command };
  const root = join(app.getAppPath(), "../..");
  const python = process.platform === "win32" ? "Scripts/python.exe" : "bin/python";
  return { command: join(root, ".venv", python), args: ["-m", "worker"], cwd: root };
}

let window: BrowserWindow | undefined;

const transcriber = new Session({
  worker: { ...worker(), onStderr: (text) => void process.stderr.write(text) },
  chooseRecording: async () => {
    const { filePaths } = await dialog.showOpenDialog(window!, {
      properties: ["openFile"],
      filters: [
        { name: "Recordings", extensions: [...AUDIO, ...VIDEO] },
        { name: "All files", extensions: ["*"] },
      ],
    });
    return filePaths[0] ?? null;
  },
  chooseTarget: async (name) => {
    const suffix = extname(name).slice(1);
    const { canceled, filePath } = await dialog.showSaveDialog(window!, {
      defaultPath: join(app.getPath("documents"), name),
      filters: [{ name: suffix, extensions: [suffix] }],
    });
    return canceled ? null : filePath;
  },
  recordings: join(app.getPath("userData"), "recordings"),
  recent: join(app.getPath("userData"), "recent.json"),
  tell: (news) => {
    if (window && !window.isDestroyed()) window.webContents.send("news", news);
  },
});

/** Only the page itself may send requests: no frame in it, and no other page. */
function trusted(frame: WebFrameMain | null): boolean {
  const page = window?.webContents.mainFrame;
  return frame !== null && frame === page && frame.url.startsWith(`${ORIGIN}/`);
}

for (const channel of CHANNELS) {
  ipcMain.handle(channel, (event, ...args: unknown[]) => {
    if (!trusted(event.senderFrame)) throw new Error("Refused: not the application's page.");
    return transcriber.handle(channel, args);
  });
}

ipcMain.on(SAMPLES, (event, samples: unknown) => {
  if (trusted(event.senderFrame)) transcriber.hear(samples);
});

protocol.registerSchemesAsPrivileged([
  {
    scheme: "app",
    privileges: { standard: true, secure: true, supportFetchAPI: true, stream: true },
  },
]);

app.on("web-contents-created", (_, contents) => {
  contents.on("will-navigate", (event) => event.preventDefault());
  contents.on("will-attach-webview", (event) => event.preventDefault());
  contents.setWindowOpenHandler(() => ({ action: "deny" }));
});

function allowMicrophone(): void {
  const { defaultSession } = session;
  defaultSession.setPermissionRequestHandler((_, permission, answer, details) => {
    const { requestingUrl: url, isMainFrame } = details;
    const { mediaTypes: media } = details as { mediaTypes?: string[] };
    if (!permitted({ permission, url, media, isMainFrame })) answer(false);
    else if (process.platform !== "darwin") answer(true);
    else void systemPreferences.askForMediaAccess("microphone").then(answer, () => answer(false));
  });
  defaultSession.setPermissionCheckHandler((_, permission, origin, { mediaType, isMainFrame }) =>
    permitted({
      permission,
      url: `${origin.replace(/\/$/, "")}/`,
      media: [mediaType],
      isMainFrame,
    }),
  );
}

/** Corrections that no file has are lost only if the user says so. */
let discarded = false;
function mayClose(): boolean {
  if (discarded || !transcriber.unsaved || !window || window.isDestroyed()) return true;
  const answer = dialog.showMessageBoxSync(window, {
    type: "warning",
    title: app.name,
    message: "Your corrections are not saved.",
    detail: "They are lost if you close the application now.",
    buttons: ["Close without saving", "Cancel"],
    defaultId: 1,
    cancelId: 1,
  });
  discarded = answer === 0;
  return discarded;
}

async function open(): Promise<void> {
  window = new BrowserWindow({
    width: 1120,
    height: 820,
    minWidth: 640,
    minHeight: 480,
    backgroundColor: "#16181d",
    webPreferences: {
      preload: join(__dirname, "preload.js"),
      contextIsolation: true,
      nodeIntegration: false,
      sandbox: true,
    },
  });
  window.removeMenu();
  window.on("close", (event) => {
    if (!mayClose()) event.preventDefault();
  });
  const { webContents } = window;
  webContents.on("render-process-gone", (_, { reason }) => {
    transcriber.abandon();
    if (reason !== "launch-failed") webContents.reload();
  });
  await window.loadURL(`${ORIGIN}/`);
}

void app.whenReady().then(async () => {
  const serve = serving(join(__dirname, "page"), (recording) => transcriber.pathOf(recording));
  protocol.handle("app", serve);
  allowMicrophone();
  await open();
});

app.on("window-all-closed", () => app.quit());

let closing = false;
app.on("before-quit", (event) => {
  if (closing) return;
  event.preventDefault();
  if (!mayClose()) return;
  closing = true;
  void transcriber.close().finally(() => app.quit());
});
