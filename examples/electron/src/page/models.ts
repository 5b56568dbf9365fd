/** Offers the models that recognise speech, says what each needs, and downloads them. */
import type { ModelRow, ProgressReport } from "transcription-worker-client";
import type { Api, Models } from "../api.js";
import { byId, bytes, el } from "./dom.js";
import { showFailure } from "./notices.js";
import { say } from "./state.js";

export class ModelChooser {
  readonly #field = byId<HTMLInputElement>("model");
  readonly #dialog = byId<HTMLDialogElement>("chooser");
  #known: Models | undefined;
  /** How far the downloads are, by the names of their models. */
  readonly #downloads = new Map<string, ProgressReport | null>();

  constructor(private readonly api: Api) {
    this.#field.addEventListener("input", () => this.#describe());
    byId("choose-model").addEventListener("click", () => {
      this.#show();
      this.#dialog.showModal();
      void this.refresh();
    });
    byId("choices").addEventListener("click", ({ target }) => {
      const button = (target as Element).closest<HTMLElement>("button[data-act]");
      const model = button?.closest<HTMLElement>("li")?.dataset["model"];
      if (!button || model === undefined) return;
      if (button.dataset["act"] === "use") this.#use(model);
      else if (button.dataset["act"] === "download") void this.#download(model);
      else void this.api.halt(model);
    });
  }

  /** Asks the worker what there is. */
  async refresh(): Promise<Models | undefined> {
    const outcome = await this.api.models();
    if (!outcome.ok) {
      showFailure(outcome.failure);
      return undefined;
    }
    this.#known = outcome.value;
    this.#show();
    return outcome.value;
  }

  report(model: string, report: ProgressReport): void {
    if (!this.#downloads.has(model)) return;
    this.#downloads.set(model, report);
    const item = byId("choices").querySelector(`[data-model="${CSS.escape(model)}"]`);
    const bar = item?.querySelector("progress");
    if (bar && report.percentage != null) bar.value = report.percentage;
    const done = item?.querySelector("output");
    if (done) done.value = received(report);
    this.#describe();
  }

  #use(model: string): void {
    this.#field.value = model;
    this.#describe();
    this.#dialog.close();
    this.#field.focus();
  }

  async #download(model: string): Promise<void> {
    this.#downloads.set(model, null);
    this.#show();
    say(`Downloading ${model}.`);
    const outcome = await this.api.download(model);
    this.#downloads.delete(model);
    await this.refresh();
    const there = this.#known?.models.some((each) => each.name === model && isHere(each));
    say(there ? `${model} is on this machine.` : `${model} was not downloaded.`);
    if (outcome.ok) return;
    this.#dialog.close(); // it would hide why
    showFailure(outcome.failure);
  }

  #show(): void {
    this.#describe();
    const { models = [], freeDisk = 0, memory } = this.#known ?? {};
    const list = byId("choices");
    const items = distinct(models).map((model) => this.#item(model));
    if (list.children.length !== items.length) list.replaceChildren(...items);
    for (const [at, item] of items.entries()) this.#renew(list.children[at]!, item);
    byId("room").textContent = memory
      ? `This machine has ${bytes(memory.budget ?? memory.total)} of memory for them, and ${bytes(freeDisk)} of free disk.`
      : "";
  }

  /** Only what has changed, which the user may be about to press. */
  #renew(before: Element, item: Element): void {
    if (before.isEqualNode(item)) return;
    const focused = before.contains(document.activeElement);
    before.replaceWith(item);
    if (focused) item.querySelector<HTMLElement>("button:last-child")?.focus();
  }

  #item(model: ModelRow): HTMLLIElement {
    const { name } = model;
    const chosen = name === this.#field.value.trim();
    const choice = el(
      "button",
      { type: "button", class: "choice", "data-act": "use", "aria-pressed": String(chosen) },
      el("strong", {}, name),
      el("span", {}, facts(model)),
      this.#tooLarge(model) && el("span", { class: "warning" }, "Needs more memory than there is"),
    );
    const item = el("li", { "data-model": name }, choice);
    const report = this.#downloads.get(name);
    if (report !== undefined) {
      const bar = el("progress", { max: "100", "aria-label": `Downloading ${name}` });
      if (report?.percentage != null) bar.value = report.percentage;
      const done = el("output", {}, report ? received(report) : "");
      item.append(el("div", { class: "loading" }, bar, done));
      item.append(button("halt", "Cancel", `Cancel the download of ${name}`));
    } else if (isHere(model)) item.append(el("span", { class: "there" }, "On this machine"));
    else {
      const label = model.incomplete > 0 ? "Go on downloading" : "Download";
      item.append(button("download", label, `${label} ${name}`));
    }
    return item;
  }

  #tooLarge({ sizeInMemory }: ModelRow): boolean {
    const { budget, total } = this.#known?.memory ?? { budget: null, total: Infinity };
    return sizeInMemory !== null && sizeInMemory > (budget ?? total);
  }

  /** Says below the field what the model in it is. */
  #describe(): void {
    const name = this.#field.value.trim();
    const model = this.#known?.models.find((each) => each.name === name);
    const report = this.#downloads.get(name);
    const where = report
      ? `downloading: ${received(report)}`
      : model && isHere(model)
        ? "on this machine"
        : "to be downloaded";
    const custom = name === "" ? "" : "A model of the hub, or a folder on this machine";
    byId("model-facts").textContent = model ? `${facts(model)}, ${where}` : custom;
  }
}

/** Only directories have no repository. */
function isHere({ cached, repository }: ModelRow): boolean {
  return cached || repository === null;
}

function facts({ sizeOnDisk, languages }: ModelRow): string {
  const many = languages.length > 1 ? `${languages.length} languages` : "";
  const one = languages[0] === "en" ? "English only" : (languages[0] ?? "");
  return [sizeOnDisk && bytes(sizeOnDisk), many || one].filter(Boolean).join(", ");
}

function received({ bytesDone, bytesTotal }: ProgressReport): string {
  return bytesTotal ? `${bytes(bytesDone ?? 0)} of ${bytes(bytesTotal)}` : "";
}

/** Some models have two names. */
function distinct(models: readonly ModelRow[]): ModelRow[] {
  const known = new Set<string>();
  return models.filter(({ repository, name }) => {
    const model = repository ?? name;
    return !known.has(model) && known.add(model);
  });
}

function button(act: string, text: string, label: string): HTMLButtonElement {
  return el("button", { type: "button", "data-act": act, "aria-label": label }, text);
}
