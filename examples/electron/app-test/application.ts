/**
 * The application in a real Electron, as it ships: nothing in it knows of the tests. The page is used
 * by the browser's own input; `desktop.ts` answers the native dialogs.
 */
import assert from "node:assert/strict";
import { spawn, type ChildProcess } from "node:child_process";
import { randomUUID } from "node:crypto";
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { after } from "node:test";
import { connect, type Browser, type Page } from "puppeteer-core";
import { answer } from "./desktop.js";
import { family, nameOf, processes, type Process } from "./processes.js";
import { until } from "./until.js";

const HERE = join(__dirname, "..");
const ROOT = join(HERE, "../..");
const MODELS = join(ROOT, "build/models");
/** A telephone call of half a minute. */
export const CALL = join(MODELS, "call/sample.wav");
/** What is said in it; the model hears most of it. */
export const CHICAGO = /originally from Chicago/;
/** Three seconds. */
export const SHORT = join(MODELS, "samples/en/quick_brown_fox.wav");
export const FOX = /quick brown fox jumps over the lazy dog/i;
/** A minute and a half: there is time to interrupt its transcription. */
export const LONG = join(ROOT, "tests/recordings/demo.flac");

const MODEL = join(MODELS, "tiny.en");
const ALIGNMENT_MODEL = join(ROOT, "tests/models/alignment");
const PICTURES = join(ROOT, "build/electron-app/pictures");

/** For a busy machine to load a model, or torch; only a failure takes as long. */
const PATIENCE_MS = 180_000;
/** For what has to end, likewise. */
const END_MS = 20_000;

export interface Options {
  /** The packaged application, instead of the sources. */
  packaged?: boolean;
  /** Chromium's switches. */
  switches?: string[];
}

/** What a test that failed has left. */
const running = new Set<Application>();
after(async () => {
  for (const application of running) {
    application.killAll();
    await application.ended();
  }
});

export class Application {
  /** Every process that it was seen to have. */
  readonly #seen = new Map<string, Process>();

  #browser: Browser | undefined;
  #page: Page | undefined;

  private constructor(
    readonly main: ChildProcess,
    /** The user's folder: settings, and what is saved. */
    readonly home: string,
    private readonly mark: string,
    private readonly endpoint: string,
  ) {}

  static async start({ packaged = false, switches = [] }: Options = {}): Promise<Application> {
    const home = mkdtempSync(join(tmpdir(), "transcriber-"));
    const mark = randomUUID();
    const program = process.env[packaged ? "TEST_PACKAGED" : "TEST_ELECTRON"];
    assert.ok(program, "scripts/test-app.sh runs these tests");
    const command = [program, "--remote-debugging-port=0", ...switches];
    if (!packaged) command.push(HERE);
    // As root, Chromium's sandbox must be off; in a namespace of its own, this user is not root.
    if (process.getuid?.() === 0) {
      command.unshift("unshare", "--user", "--map-user=1000", "--map-group=1000");
    }
    const [first, ...rest] = command as [string, ...string[]];
    const main = spawn(first, rest, {
      detached: true, // a session of its own
      stdio: ["ignore", "ignore", "pipe"],
      env: {
        ...process.env,
        HOME: home,
        XDG_CONFIG_HOME: join(home, "config"),
        HF_HUB_OFFLINE: "1",
        TRANSCRIBER_MARK: mark,
      },
    });
    const application = new Application(main, home, mark, await endpoint(main));
    running.add(application);
    await application.attach();
    return application;
  }

  /** Takes hold of the window, and waits until the worker has told it which languages it knows. */
  async attach(): Promise<void> {
    await this.#browser?.disconnect();
    this.#browser = await connect({
      browserWSEndpoint: this.endpoint,
      defaultViewport: null,
      protocolTimeout: PATIENCE_MS,
    });
    const target = await this.#browser.waitForTarget((each) => each.url().startsWith("app://"));
    this.#page = (await target.page())!;
    this.#page.setDefaultTimeout(PATIENCE_MS);
    await this.#page.waitForSelector("#language option[value=en]");
  }

  get browser(): Browser {
    return this.#browser!;
  }

  get page(): Page {
    return this.#page!;
  }

  /** All of its processes. */
  family(): Process[] {
    const now = family(this.main.pid!, this.mark);
    for (const one of now) this.#seen.set(nameOf(one), one);
    return now;
  }

  /** Kills the process with such a command. */
  kill(like: RegExp): void {
    const found = this.family().find(({ command }) => like.test(command));
    assert.ok(found, `no process is like ${like}`);
    process.kill(found.id, "SIGKILL");
  }

  killAll(): void {
    for (const { id } of this.family()) {
      try {
        process.kill(id, "SIGKILL");
      } catch {
        // It has ended with another.
      }
    }
  }

  /** Waits until none of its processes is left. */
  async ended(): Promise<void> {
    let left: Process[] = [];
    const end = (): boolean => {
      this.family();
      const now = new Set(processes().map(nameOf));
      left = [...this.#seen.values()].filter((one) => now.has(nameOf(one)));
      return left.length === 0;
    };
    await until("the end of all processes", end, { patienceMs: END_MS }).catch(() => {
      throw new Error(`left: ${left.map(({ command }) => command.slice(0, 100)).join("; ")}`);
    });
    await this.browser.disconnect();
    rmSync(this.home, { recursive: true, force: true });
    running.delete(this);
  }

  /** As by `app.quit()`: so Electron understands the debugger. */
  async quit(): Promise<void> {
    this.family();
    this.browser.close().catch(() => {}); // no answer comes if it does not quit
    await this.ended();
  }

  /** Kills the page's process, and takes hold of the page that comes instead. */
  async killPage(): Promise<void> {
    this.kill(/--type=renderer/);
    await until("a new page", async () => {
      try {
        await this.attach();
        return true;
      } catch (error) {
        if (!String(error).includes("Target crashed")) throw error;
        return false; // the old page is there still
      }
    });
  }

  /** Opens a recording by the native dialog. */
  async open(recording: string): Promise<void> {
    await this.page.click("#open");
    await answer("Open File", recording);
    await this.opened(recording);
  }

  async opened(recording: string): Promise<void> {
    const name = basename(recording);
    await this.page.waitForFunction(
      (name) =>
        document.body.dataset["state"] === "ready" &&
        document.querySelector("#file")!.textContent === name,
      {},
      name,
    );
  }

  /** Starts the transcription of what is open. */
  async transcribe(options: { exact?: boolean } = {}): Promise<void> {
    await this.choose(options);
    await this.page.click("#start");
  }

  /** Chooses the options of a job; `exact` is with the times of words. */
  async choose({ exact = false } = {}): Promise<void> {
    await this.fill("#model", MODEL);
    await this.page.select("#language", "en");
    await this.set("#align", exact);
    await this.set("#diarize", false);
    if (!exact) return;
    await this.page.$eval("details", (details) => (details.open = true));
    await this.fill("#alignment-model", ALIGNMENT_MODEL);
  }

  /** Adds to the first text of the transcript. */
  async correct(text: string): Promise<void> {
    await this.page.click(".said", { count: 2 });
    await this.page.keyboard.type(text);
    await this.page.keyboard.press("Enter");
    await this.page.waitForSelector("#unsaved:not([hidden])");
  }

  async fill(selector: string, text: string): Promise<void> {
    await this.page.$eval(selector, (field) => ((field as HTMLInputElement).value = ""));
    await this.page.type(selector, text);
  }

  async set(selector: string, on: boolean): Promise<void> {
    const is = await this.page.$eval(selector, (box) => (box as HTMLInputElement).checked);
    if (is !== on) await this.page.click(selector);
  }

  /** Waits until the job has begun to tell what it hears. */
  async heard(): Promise<void> {
    await this.page.waitForSelector("[data-state=running] #segments li");
  }

  /** Waits for the end of a job that tells nothing but these kinds of notices; returns the text. */
  async done(...kinds: string[]): Promise<string> {
    await this.page.waitForSelector(":is([data-state=done], [data-state=ready])");
    const notices = await this.page.$$eval(".notice", (all) =>
      all.map((each) => [(each as HTMLElement).dataset["kind"]!, each.textContent]),
    );
    const unexpected = notices.filter(([kind]) => !kinds.includes(kind!));
    assert.deepEqual(unexpected, []);
    assert.equal(await this.page.$eval("body", (body) => body.dataset["state"]), "done");
    return this.said();
  }

  /** The text of the transcript. */
  async said(): Promise<string> {
    return (await this.texts(".said")).map((text) => text.trim()).join(" ");
  }

  async texts(selector: string): Promise<string[]> {
    return this.page.$$eval(selector, (all) => all.map((each) => each.textContent ?? ""));
  }

  /** Keeps a picture of the page, for a person to look at. */
  async picture(name: string): Promise<void> {
    mkdirSync(PICTURES, { recursive: true });
    await this.page.screenshot({ path: join(PICTURES, `${name}.png`) });
  }
}

/** Where the browser's debugger listens. */
async function endpoint(main: ChildProcess): Promise<string> {
  let told = "";
  return new Promise((resolve, reject) => {
    main.once("error", reject);
    main.once("exit", () => reject(new Error(`Electron ended at once: ${told}`)));
    main.stderr!.setEncoding("utf8").on("data", (text: string) => {
      told = (told + text).slice(-10_000);
      const found = /DevTools listening on (ws:\S+)/.exec(told);
      if (found) resolve(found[1]!);
    });
  });
}
