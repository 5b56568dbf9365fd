/**
 * Times the words of a corrected text. Words that stay keep their times. What replaces words takes
 * their time: word for word where there are as many, and else in proportion to length. Inserted
 * words take the pause that they stand in, or, where that is too short, a share of the word before.
 */
import type { Segment, Word } from "transcription-worker-client";

/** Seconds that an inserted word needs; below that, the word before it gives some of its own. */
const LEAST = 0.1;

/** Scripts that put no spaces between words. */
const UNSPACED =
  /[\p{sc=Han}\p{sc=Hiragana}\p{sc=Katakana}\p{sc=Thai}\p{sc=Lao}\p{sc=Khmer}\p{sc=Myanmar}]/u;

/** The places of a word that stays, in the old words and in the new ones. */
type Anchor = readonly [old: number, fresh: number];

/** The segment with this text, which is trimmed and not empty. */
export function corrected(segment: Segment, text: string): Segment {
  const whole = segment.text.slice(0, segment.text.search(/\S|$/)) + text;
  if (!segment.words?.length) return { ...segment, text: whole };
  const words = timed(segment, segment.words, divided(whole, segment.words, segment.language));
  return { ...segment, text: whole, words };
}

function timed({ start, end, speaker }: Segment, old: readonly Word[], texts: string[]): Word[] {
  const edges: Anchor[] = [[-1, -1], ...kept(old, texts), [old.length, texts.length]];
  const anchors = withRoom(edges, old, { start, end });
  const words: Word[] = [];
  for (const [at, [nextOld, nextFresh]] of anchors.entries()) {
    const [lastOld, lastFresh] = anchors[at - 1] ?? [-1, -1];
    const replaced = old.slice(lastOld + 1, nextOld);
    const fresh = texts.slice(lastFresh + 1, nextFresh);
    const times =
      replaced.length === fresh.length
        ? replaced
        : shared(
            fresh,
            replaced[0]?.start ?? old[lastOld]?.end ?? start,
            replaced.at(-1)?.end ?? old[nextOld]?.start ?? end,
          );
    const nearest = replaced[0] ?? old[lastOld] ?? old[nextOld];
    const saidBy = nearest?.speaker ?? speaker;
    for (const [i, word] of fresh.entries()) {
      const { start, end } = times[i]!;
      const said = saidBy === undefined ? {} : { speaker: saidBy };
      words.push({ word, start, end, probability: null, interpolated: true, ...said });
    }
    const stays = old[nextOld];
    if (stays) words.push(spelt(stays, texts[nextFresh]!));
  }
  return words;
}

function spelt(word: Word, text: string): Word {
  if (word.word === text) return word;
  const { characters: _, ...rest } = word;
  return { ...rest, word: text };
}

/** Without the anchors that have to share their time with what is inserted after or before them. */
function withRoom(
  anchors: readonly Anchor[],
  old: readonly Word[],
  { start, end }: Pick<Segment, "start" | "end">,
): Anchor[] {
  const sharing = new Set<Anchor>();
  for (const [at, after] of anchors.entries()) {
    const before = anchors[at - 1];
    if (!before || after[0] - before[0] > 1) continue;
    const inserted = after[1] - before[1] - 1;
    const room = (old[after[0]]?.start ?? end) - (old[before[0]]?.end ?? start);
    if (room < LEAST * inserted) sharing.add(at > 1 ? before : after);
  }
  return anchors.filter((anchor, at) => at > 0 && !sharing.has(anchor));
}

/** The time from `start` to `end`, in proportion to the lengths of the words. */
function shared(
  texts: readonly string[],
  start: number,
  end: number,
): Pick<Word, "start" | "end">[] {
  const lengths = texts.map((text) => Math.max(1, text.trim().length));
  const total = lengths.reduce((sum, length) => sum + length, 0);
  let done = 0;
  const next = (length: number): number => {
    done += length;
    return Math.round((start + ((end - start) * done) / total) * 1000) / 1000;
  };
  let from = start;
  return lengths.map((length) => ({ start: from, end: (from = next(length)) }));
}

/** Which words stay: the longest common subsequence, whatever their case and punctuation are. */
function kept(old: readonly Word[], texts: readonly string[]): Anchor[] {
  const [ours, theirs] = [old.map(({ word }) => sound(word)), texts.map(sound)];
  const most = Array.from({ length: ours.length + 1 }, () =>
    new Array<number>(theirs.length + 1).fill(0),
  );
  const from = (i: number, j: number): number => most[i]![j]!;
  for (let i = ours.length - 1; i >= 0; i -= 1) {
    for (let j = theirs.length - 1; j >= 0; j -= 1) {
      const here = ours[i] === theirs[j] ? from(i + 1, j + 1) + 1 : 0;
      most[i]![j] = Math.max(here, from(i + 1, j), from(i, j + 1));
    }
  }
  const anchors: Anchor[] = [];
  for (let i = 0, j = 0; i < ours.length && j < theirs.length;) {
    if (ours[i] === theirs[j] && from(i, j) === from(i + 1, j + 1) + 1) anchors.push([i++, j++]);
    else if (from(i + 1, j) >= from(i, j + 1)) i += 1;
    else j += 1;
  }
  return anchors;
}

function sound(word: string): string {
  return word.toLowerCase().replace(/[^\p{L}\p{M}\p{N}]/gu, "") || word.trim();
}

/** The text as words, each with the space before it. */
function divided(text: string, old: readonly Word[], language: string | undefined): string[] {
  if (!UNSPACED.test(text)) return text.match(/\s*\S+/g) ?? [];
  // Such words are as long as the recogniser made them: so they stay at both ends of the change.
  const first: string[] = [];
  const last: string[] = [];
  let [from, to] = [0, text.length];
  for (const { word } of old) {
    if (!text.startsWith(word, from)) break;
    first.push(word);
    from += word.length;
  }
  for (const { word } of old.slice(first.length).reverse()) {
    if (to - word.length < from || !text.slice(0, to).endsWith(word)) break;
    last.unshift(word);
    to -= word.length;
  }
  const middle: string[] = [];
  let space = "";
  const segmenter = new Intl.Segmenter(language, { granularity: "word" });
  for (const { segment, isWordLike } of segmenter.segment(text.slice(from, to))) {
    if (segment.trim() === "") space += segment;
    else if (isWordLike || middle.length === 0) middle.push(space + segment);
    else middle.push((middle.pop() ?? "") + space + segment);
    if (segment.trim() !== "") space = "";
  }
  return [...first, ...middle, ...last];
}
