/**
 * Names speakers, corrects texts, and takes both back. The transcript itself is kept by the main
 * process, which answers with what has changed.
 */
import type { Api, Change, Outcome } from "../api.js";
import { byId, clock, el, isTyping } from "./dom.js";
import { changeInPlace } from "./in-place.js";
import { clearMerged, showFailure, showMerged } from "./notices.js";
import type { Player } from "./player.js";
import type { Speakers } from "./speakers.js";
import { say } from "./state.js";
import { RENAME, type Transcript } from "./transcript.js";

const LONGEST_NAME = "100";

export class Corrections {
  #unsaved = false;
  /** The correction that is on its way. */
  #pending: Promise<unknown> = Promise.resolve();

  constructor(
    private readonly api: Api,
    private readonly transcript: Transcript,
    private readonly speakers: Speakers,
    private readonly player: Player,
  ) {
    const list = byId("segments");
    for (const place of [list, byId("speakers-legend")]) {
      place.addEventListener("click", ({ target }) => {
        const name = (target as Element).closest<HTMLElement>("button[data-name]");
        if (name) this.#rename(name);
      });
    }
    list.addEventListener("click", ({ target }) => {
      if ((target as Element).closest(".edit")) this.#edit(target as Element);
    });
    list.addEventListener("dblclick", ({ target }) => {
      if ((target as Element).closest(".said")) this.#edit(target as Element);
    });
    list.addEventListener("keydown", ({ key, target }) => {
      if (key === "F2" && !isTyping(target)) this.#edit(target as Element);
    });
    byId("undo").addEventListener("click", () => void this.undo());
  }

  /** Whether there are corrections that no file has. */
  get unsaved(): boolean {
    return this.#unsaved;
  }

  set unsaved(unsaved: boolean) {
    this.#unsaved = unsaved;
    byId("save").classList.toggle("primary", unsaved);
    byId("unsaved").hidden = !unsaved;
  }

  /** How the transcript that is shown stands. */
  begin({ undoable, unsaved } = { undoable: false, unsaved: false }): void {
    this.unsaved = unsaved;
    byId("undo").hidden = !undoable;
  }

  /** Asks before corrections are lost. */
  async mayLose(): Promise<boolean> {
    await this.#pending;
    if (!this.#unsaved) return true;
    const dialog = byId<HTMLDialogElement>("discard");
    dialog.returnValue = "";
    dialog.showModal();
    await new Promise((resolve) => dialog.addEventListener("close", resolve, { once: true }));
    return dialog.returnValue === "discard";
  }

  /** Resolves once the transcript has all corrections. */
  async settled(): Promise<void> {
    await this.#pending;
  }

  async undo(): Promise<void> {
    if (byId("undo").hidden) return;
    if (await this.#take(this.api.undo())) say("Undone.");
  }

  #rename(button: HTMLElement): void {
    const speaker = button.dataset["name"]!;
    const shown = this.speakers.name(speaker);
    const field = el("input", { class: "name", maxlength: LONGEST_NAME, spellcheck: "false" });
    field.setAttribute("aria-label", `New name of ${shown}`);
    field.value = shown;
    const inLegend = Boolean(button.closest("#speakers-legend"));
    const id = button.closest("li")?.dataset["id"];
    let renamed = speaker;
    changeInPlace(button, field, {
      problem: (name) => (name === "" ? "A speaker needs a name." : ""),
      take: async (name) => {
        renamed = this.speakers.named(name) ?? name;
        const one = this.speakers.all.includes(renamed);
        this.speakers.rename(speaker, renamed);
        const taken = await this.#take(this.api.rename(speaker, renamed));
        if (taken && one) showMerged(shown, name, () => void this.undo());
        if (taken) say(one ? `${shown} and ${name} are one speaker now.` : `Renamed to ${name}.`);
        return taken;
      },
      after: () => {
        const place = inLegend ? byId("speakers-legend") : this.transcript.item(Number(id));
        place?.querySelector<HTMLElement>(`[data-name="${CSS.escape(renamed)}"]`)?.focus();
      },
    });
    field.select();
  }

  #edit(target: Element): void {
    const item = target.closest<HTMLElement>("li[data-id]");
    const said = item?.querySelector<HTMLElement>(".said");
    if (!item || !said || !this.transcript.editable) return;
    this.player.pause();
    getSelection()?.removeAllRanges();
    const id = Number(item.dataset["id"]);
    const field = el("textarea", { class: "said", rows: "1", dir: "auto" });
    field.setAttribute("aria-label", `Text from ${clock(Number(said.dataset["start"]))}`);
    field.value = said.textContent!.trim();
    changeInPlace(said, field, {
      take: async (text) => {
        const taken = await this.#take(this.api.correct(id, text));
        if (taken) say(text === "" ? "Removed." : "Corrected.");
        return taken;
      },
      after: () => this.transcript.item(id)?.querySelector<HTMLElement>(".edit")?.focus(),
    });
  }

  async #take(answer: Promise<Outcome<Change>>): Promise<boolean> {
    this.#pending = answer;
    const outcome = await answer;
    if (!outcome.ok) {
      showFailure(outcome.failure);
      return false;
    }
    clearMerged();
    const { segments, removed, turns, undoable, unsaved } = outcome.value;
    const { transcript, speakers, player } = this;
    transcript.remove(removed);
    transcript.take(segments);
    player.timeline.turns = turns ?? transcript.segments;
    const present = [...transcript.segments, ...(turns ?? [])].flatMap(
      ({ speaker }) => speaker ?? [],
    );
    speakers.keep([...new Set(present)]);
    byId("nothing").hidden = transcript.segments.length > 0;
    this.begin({ undoable, unsaved });
    return true;
  }
}

/** The speakers above the transcript, each a button to rename it. */
export function showLegend(speakers: Speakers, editable: boolean): void {
  byId("speakers-legend").replaceChildren(
    ...speakers.all.map((speaker) => {
      const name = speakers.name(speaker);
      const shown = editable
        ? el("button", { type: "button", title: RENAME, "data-name": speaker }, name)
        : name;
      return el("li", { "data-speaker": String(speakers.colour(speaker)) }, shown);
    }),
  );
}
