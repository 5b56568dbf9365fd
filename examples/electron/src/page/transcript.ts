/** The segments as they come; one that comes again replaces the first. */
import type { AlignmentWord, TranscriptionSegment } from "transcription-worker-client";
import { byId, clock, el } from "./dom.js";
import type { Speakers } from "./speakers.js";

/** Below it a word is marked as one to look at. */
const UNSURE = 0.4;

export class Transcript {
  readonly #list = byId<HTMLOListElement>("segments");
  readonly #items = new Map<number, HTMLLIElement>();
  /** In their order. */
  segments: readonly TranscriptionSegment[] = [];
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
  }

  clear(): void {
    this.segments = [];
    this.#items.clear();
    this.#list.replaceChildren();
    this.#now = undefined;
  }

  take(segments: readonly TranscriptionSegment[]): void {
    const follow = this.#list.scrollHeight - this.#list.scrollTop - this.#list.clientHeight < 80;
    const again = new Set(segments.map(({ id }) => id));
    const others = this.segments.filter(({ id }) => !again.has(id));
    this.segments = [...others, ...segments].sort((a, b) => a.id - b.id);
    for (const segment of segments) {
      const item = this.#item(segment);
      const there = this.#items.get(segment.id);
      this.#items.set(segment.id, item);
      if (there) there.replaceWith(item);
      else this.#list.insertBefore(item, this.#after(segment.id));
      for (const changed of [item, item.nextElementSibling]) {
        const speaker = changed?.getAttribute("data-name");
        const before = changed?.previousElementSibling?.getAttribute("data-name");
        changed?.classList.toggle("goes-on", Boolean(speaker) && speaker === before);
      }
    }
    if (follow && document.body.dataset["state"] === "running") {
      this.#list.scrollTop = this.#list.scrollHeight;
    }
  }

  /** Marks the segment and the word that are being said. */
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

  /** What the segment is to be put before; null for the end, where most come. */
  #after(id: number): Element | null {
    const next = this.segments.find((other) => other.id > id && this.#items.has(other.id));
    return (next && this.#items.get(next.id)) ?? null;
  }

  #item({ id, start, text, words, speaker }: TranscriptionSegment): HTMLLIElement {
    const name = speaker === undefined ? "" : this.speakers.name(speaker);
    const at = { "data-start": String(start) };
    const time = el("button", { ...at, type: "button", class: "time" }, clock(start));
    time.setAttribute("aria-label", `Play from ${clock(start)}`);
    const said = el("p", { ...at, class: "said", dir: "auto" });
    if (words?.length) said.append(...words.flatMap(asSpan));
    else said.textContent = text.trim();
    const item = el("li", { "data-id": String(id), "data-name": name }, time);
    if (speaker !== undefined) {
      item.dataset["speaker"] = String(this.speakers.colour(speaker));
      item.append(el("span", { class: "name" }, name));
    }
    item.append(said);
    return item;
  }
}

/** The space before the word, and the word. */
function asSpan({ word, start, probability, interpolated }: AlignmentWord): (string | Node)[] {
  const bare = word.trimStart();
  const span = el("span", { class: "word", "data-start": String(start) }, bare);
  if (interpolated) {
    span.classList.add("estimated");
    span.title = "Its time is an estimate.";
  } else if (probability !== null && probability < UNSURE) {
    span.classList.add("unsure");
    span.title = `Heard with ${Math.round(probability * 100)} % certainty.`;
  }
  return [word.slice(0, word.length - bare.length), span];
}
