/** Shows the segments as they arrive; a segment with a known id replaces the earlier one. */
import type { LiveSegment, LiveWord, Segment, Word } from "transcription-worker-client";
import { byId, clock, el } from "./dom.js";
import type { Speakers } from "./speakers.js";

/** A live segment comes again while it is said, and without text if it was nothing. */
export type Shown = Segment | LiveSegment;

/** A word below this probability is marked as unsure. */
const UNSURE = 0.4;

export class Transcript {
  readonly #list = byId<HTMLOListElement>("segments");
  readonly #items = new Map<number, HTMLLIElement>();
  /** In the order of their ids. */
  segments: readonly Shown[] = [];
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
      for (const changed of [item, item.nextElementSibling]) {
        const speaker = changed?.getAttribute("data-name");
        const before = changed?.previousElementSibling?.getAttribute("data-name");
        changed?.classList.toggle("goes-on", Boolean(speaker) && speaker === before);
      }
    }
    if (follow && document.body.dataset["state"] !== "done") {
      this.#list.scrollTop = this.#list.scrollHeight;
    }
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
    this.#items.get(id)?.remove();
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
      item.append(el("span", { class: "name" }, name));
    }
    item.append(said);
    return item;
  }
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
