/** Shows the segments as they arrive; a segment with a known id replaces the earlier one. */
import type { LiveSegment, LiveWord, Segment, Word } from "transcription-worker-client";
import { byId, clock, el, isTyping } from "./dom.js";
import type { Speakers } from "./speakers.js";

/** A live segment comes again while it is said, and without text if it was nothing. */
export type Shown = Segment | LiveSegment;

/** A word below this probability is marked as unsure. */
const UNSURE = 0.4;

export const RENAME = "Rename everywhere";

export class Transcript {
  readonly #list = byId<HTMLOListElement>("segments");
  readonly #items = new Map<number, HTMLLIElement>();
  /** In the order of their starts. */
  segments: readonly Shown[] = [];
  /** Whether names and texts can be corrected: once there are no more to come. */
  editable = false;
  #now: Element | undefined;

  constructor(
    private readonly speakers: Speakers,
    play: (seconds: number) => void,
  ) {
    this.#list.addEventListener("click", ({ target }) => {
      if (getSelection()?.toString()) return;
      const from = (target as Element).closest<HTMLElement>("[data-start]");
      if (from) play(Number(from.dataset["start"]));
    });
    this.#list.addEventListener("keydown", (event) => {
      const item = (event.target as Element).closest("li");
      const { key } = event;
      if (!item || isTyping(event.target) || (key !== "ArrowDown" && key !== "ArrowUp")) return;
      const other = key === "ArrowDown" ? item.nextElementSibling : item.previousElementSibling;
      other?.querySelector<HTMLElement>(".time")?.focus();
      event.preventDefault();
    });
  }

  clear(): void {
    this.segments = [];
    this.editable = false;
    this.#items.clear();
    this.#list.replaceChildren();
    this.#now = undefined;
  }

  take(all: readonly Shown[]): void {
    const follow = this.#list.scrollHeight - this.#list.scrollTop - this.#list.clientHeight < 80;
    const again = new Set(all.map(({ id }) => id));
    const others = this.segments.filter(({ id }) => !again.has(id));
    const segments = all.filter((segment) => !("final" in segment) || segment.text.trim() !== "");
    this.segments = [...others, ...segments].sort(inOrder);
    for (const { id } of all) if (!segments.some((segment) => segment.id === id)) this.#drop(id);
    for (const segment of segments) {
      const item = this.#item(segment);
      const there = this.#items.get(segment.id);
      this.#items.set(segment.id, item);
      if (there) there.replaceWith(item);
      else this.#list.insertBefore(item, this.#after(segment));
      goOn(item);
      goOn(item.nextElementSibling);
    }
    if (follow && document.body.dataset["state"] !== "done") {
      this.#list.scrollTop = this.#list.scrollHeight;
    }
  }

  /** Removes the segments with these ids. */
  remove(ids: readonly number[]): void {
    const gone = new Set(ids);
    this.segments = this.segments.filter(({ id }) => !gone.has(id));
    for (const id of ids) this.#drop(id);
  }

  item(id: number): HTMLLIElement | undefined {
    return this.#items.get(id);
  }

  /** Marks the segment and the word at this time. */
  mark(seconds: number): void {
    const segment = this.segments.findLast(({ start }) => start <= seconds);
    const item = segment && seconds < segment.end ? this.#items.get(segment.id) : undefined;
    if (item !== this.#now) {
      this.#now?.removeAttribute("aria-current");
      item?.setAttribute("aria-current", "true");
      item?.scrollIntoView({ block: "nearest" });
      this.#now = item;
    }
    const at = segment?.words?.findLastIndex(({ start }) => start <= seconds) ?? -1;
    const word = item?.querySelectorAll(".word")[at];
    const marked = this.#list.querySelector(".now");
    if (marked === (word ?? null)) return;
    marked?.classList.remove("now");
    word?.classList.add("now");
  }

  #drop(id: number): void {
    const item = this.#items.get(id);
    const next = item?.nextElementSibling;
    item?.remove();
    if (next) goOn(next);
    this.#items.delete(id);
  }

  /** The item to insert the segment before; null for the end, the usual place. */
  #after(segment: Shown): Element | null {
    const next = this.segments.find(
      (other) => inOrder(other, segment) > 0 && this.#items.has(other.id),
    );
    return (next && this.#items.get(next.id)) ?? null;
  }

  #item({ id, start, text, words, speaker, ...rest }: Shown): HTMLLIElement {
    const name = speaker === undefined ? "" : this.speakers.name(speaker);
    const at = { "data-start": String(start) };
    const time = el("button", { ...at, type: "button", class: "time" }, clock(start));
    time.setAttribute("aria-label", `Play from ${clock(start)}`);
    const said = el("p", { ...at, class: "said", dir: "auto" });
    if (words?.length) said.append(...words.flatMap(asSpan));
    else said.textContent = text.trim();
    if ("final" in rest && !rest.final) said.classList.add("interim");
    const item = el("li", { "data-id": String(id), "data-name": name }, time);
    if (speaker !== undefined) {
      item.dataset["speaker"] = String(this.speakers.colour(speaker));
      const named = this.editable
        ? el("button", { type: "button", class: "name", title: RENAME }, name)
        : el("span", { class: "name" }, name);
      named.dataset["name"] = speaker;
      item.append(named);
    }
    item.append(said);
    if (this.editable) {
      const edit = el("button", { type: "button", class: "edit" }, "Edit");
      edit.setAttribute("aria-label", `Edit the text from ${clock(start)}`);
      item.append(edit);
    }
    return item;
  }
}

/** Marks an item whose speaker is the one of the item before. */
function goOn(item: Element | null): void {
  const speaker = item?.getAttribute("data-name");
  const before = item?.previousElementSibling?.getAttribute("data-name");
  item?.classList.toggle("goes-on", Boolean(speaker) && speaker === before);
}

/** A word, after the space before it. */
function asSpan({
  word,
  start,
  probability,
  interpolated,
  ...rest
}: Word | LiveWord): (string | Node)[] {
  const bare = word.trimStart();
  const span = el("span", { class: "word", "data-start": String(start) }, bare);
  if ("final" in rest && rest.final) span.classList.add("final");
  if (interpolated) {
    span.classList.add("estimated");
    span.title = "Its time is an estimate.";
  } else if (probability !== null && probability < UNSURE) {
    span.classList.add("unsure");
    span.title = `Heard with ${Math.round(probability * 100)} % certainty.`;
  }
  return [word.slice(0, word.length - bare.length), span];
}

/** By time: a later part of a segment in which the speaker changes has a higher id. */
function inOrder(one: Shown, other: Shown): number {
  return one.start - other.start || one.id - other.id;
}
