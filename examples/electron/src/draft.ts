/**
 * The last transcript, which the user corrects. A correction makes a new transcript that shares what
 * did not change with the one before, so undoing it is going back, and what changed is what is new.
 */
import type { Segment, TranscribeResult, Turn } from "transcription-worker-client";
import type { Change, Format } from "./api.js";
import { Refusal } from "./checks.js";
import { corrected } from "./words.js";

/** These lack the text, or who said it. */
const INCOMPLETE: ReadonlySet<Format> = new Set(["rttm", "tsv"]);

export class Draft {
  #transcript: TranscribeResult;
  #saved: TranscribeResult;
  readonly #past: TranscribeResult[] = [];

  constructor(
    /** Of the recording. */
    readonly path: string,
    result: TranscribeResult,
  ) {
    this.#transcript = this.#saved = result;
  }

  /** The result of the job, with corrected segments and turns. */
  get transcript(): TranscribeResult {
    return this.#transcript;
  }

  get undoable(): boolean {
    return this.#past.length > 0;
  }

  /** Whether there are corrections that no file has. */
  get unsaved(): boolean {
    return this.#transcript !== this.#saved;
  }

  /** The transcript was written to a file. */
  saved(transcript: TranscribeResult, format: Format): void {
    if (!INCOMPLETE.has(format)) this.#saved = transcript;
  }

  /** Gives a speaker a name everywhere. Two speakers of one name become one. */
  rename(speaker: string, name: string): Change {
    const { segments, turns, ...rest } = this.#transcript;
    const found = [...segments, ...(turns ?? [])].some((said) => speaks(speaker, said));
    if (!found) throw new Refusal("No such speaker is in the transcript.");
    if (name === speaker) return this.#change(this.#transcript);
    const named = <T extends { speaker?: string }>(said: T): T =>
      said.speaker === speaker ? { ...said, speaker: name } : said;
    return this.#become({
      ...rest,
      segments: segments.map((segment) => {
        if (!speaks(speaker, segment)) return segment;
        return { ...named(segment), words: segment.words?.map(named) ?? null };
      }),
      ...(turns && { turns: turns.map(named) }),
    });
  }

  /** Corrects the text of a segment; one without text is removed. */
  correct(id: number, text: string): Change {
    const { segments, ...rest } = this.#transcript;
    const segment = segments.find((each) => each.id === id);
    if (!segment) throw new Refusal("No such segment is in the transcript.");
    if (segment.text.trim() === text) return this.#change(this.#transcript);
    const others = segments.flatMap((each) => {
      if (each !== segment) return each;
      return text === "" ? [] : corrected(segment, text);
    });
    return this.#become({ ...rest, segments: others });
  }

  /** Takes the last correction back. */
  undo(): Change {
    const before = this.#transcript;
    this.#transcript = this.#past.pop() ?? before;
    return this.#change(before);
  }

  #become(transcript: TranscribeResult): Change {
    const before = this.#transcript;
    this.#past.push(before);
    this.#transcript = transcript;
    return this.#change(before);
  }

  #change({ segments: before }: TranscribeResult): Change {
    const { segments, turns = null } = this.#transcript;
    const known = new Set(before);
    const ids = new Set(segments.map(({ id }) => id));
    return {
      segments: segments.filter((segment) => !known.has(segment)),
      removed: before.map(({ id }) => id).filter((id) => !ids.has(id)),
      turns,
      undoable: this.undoable,
      unsaved: this.unsaved,
    };
  }
}

function speaks(speaker: string, said: Segment | Turn): boolean {
  const words = ("words" in said && said.words) || [];
  return [said, ...words].some((each) => each.speaker === speaker);
}
