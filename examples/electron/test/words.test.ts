import assert from "node:assert/strict";
import { test } from "node:test";
import type { Segment, Word } from "transcription-worker-client";
import { corrected } from "../src/words.js";

type Said = [word: string, start: number, end: number];

/** A segment from 0 to 10 seconds, as a recogniser gives it. */
function segment(words: Said[] | null, text = words!.map(([word]) => word).join("")): Segment {
  return {
    id: 0,
    start: 0,
    end: 10,
    text,
    avgLogprob: null,
    compressionRatio: null,
    noSpeechProb: null,
    temperature: null,
    words: words && words.map(([word, start, end]) => ({ word, start, end, probability: 0.9 })),
  };
}

const CALL = segment([
  [" I", 1, 1.2],
  [" live", 1.2, 1.6],
  [" in", 1.6, 1.8],
  [" Chicago.", 1.8, 2.6],
]);

/** The words with their times; an estimated one is marked. */
function words(text: string, from: Segment = CALL): string[] {
  const { words, text: whole } = corrected(from, text);
  assert.equal(words!.map(({ word }) => word).join(""), whole, "words, joined, are the text");
  assert.equal(whole.trim(), text);
  return words!.map(
    ({ word, start, end, interpolated }) =>
      `${word.trim()} ${start}-${end}${interpolated ? " ?" : ""}`,
  );
}

test("a word in the place of another takes its time, and the others keep theirs", () => {
  assert.deepEqual(words("I live in Boston."), [
    "I 1-1.2",
    "live 1.2-1.6",
    "in 1.6-1.8",
    "Boston. 1.8-2.6 ?",
  ]);
  assert.deepEqual(words("We lived in Chicago."), [
    "We 1-1.2 ?",
    "lived 1.2-1.6 ?",
    "in 1.6-1.8",
    "Chicago. 1.8-2.6",
  ]);
});

test("other case and punctuation are the same word, which keeps all that is known of it", () => {
  const { words } = corrected(CALL, "i live, in CHICAGO!");
  const expected = ["i", " live,", " in", " CHICAGO!"].map((word, at) => ({
    ...CALL.words![at]!,
    word: at === 0 ? ` ${word}` : word,
  }));
  assert.deepEqual(words, expected);
});

test("more or fewer words share the time of those that they replace, by their lengths", () => {
  assert.deepEqual(words("I live in New York."), [
    "I 1-1.2",
    "live 1.2-1.6",
    "in 1.6-1.8",
    "New 1.8-2.1 ?",
    "York. 2.1-2.6 ?",
  ]);
  assert.deepEqual(words("Lived here Chicago."), [
    "Lived 1-1.444 ?",
    "here 1.444-1.8 ?",
    "Chicago. 1.8-2.6",
  ]);
});

test("an inserted word takes the pause, or a share of the word before it", () => {
  const pause = segment([
    [" yes", 1, 2],
    [" no", 4, 5],
  ]);
  assert.deepEqual(words("yes and no", pause), ["yes 1-2", "and 2-4 ?", "no 4-5"]);
  assert.deepEqual(words("well yes no", pause), ["well 0-1 ?", "yes 1-2", "no 4-5"]);
  assert.deepEqual(words("yes no maybe", pause), ["yes 1-2", "no 4-5", "maybe 5-10 ?"]);
  assert.deepEqual(words("I live not in Chicago.").slice(1, 4), [
    "live 1.2-1.429 ?",
    "not 1.429-1.6 ?",
    "in 1.6-1.8",
  ]);
});

test("a word before the first one takes a share of that, where there is no pause", () => {
  const first = { ...CALL, start: 1 };
  assert.deepEqual(words("So I live in Chicago.", first).slice(0, 3), [
    "So 1-1.133 ?",
    "I 1.133-1.2 ?",
    "live 1.2-1.6",
  ]);
});

test("a word that is taken out leaves the others as they were", () => {
  assert.deepEqual(words("I in Chicago."), ["I 1-1.2", "in 1.6-1.8", "Chicago. 1.8-2.6"]);
});

test("new words are said by who said what was there", () => {
  const both = segment([
    [" one", 1, 2],
    [" two", 2, 3],
  ]);
  both.speaker = "A";
  Object.assign(both.words![0]!, { speaker: "A" });
  Object.assign(both.words![1]!, { speaker: "B" });
  const speakers = (text: string): unknown[] =>
    corrected(both, text).words!.map(({ speaker }) => speaker);
  assert.deepEqual(speakers("one three four"), ["A", "B", "B"]);
  assert.deepEqual(speakers("five six two"), ["A", "A", "B"]);
});

test("a language without spaces keeps the words at both ends of a change", () => {
  const chinese = segment([
    ["今天", 1, 1.5],
    ["天气", 1.5, 2],
    ["很", 2, 2.2],
    ["好。", 2.2, 3],
  ]);
  assert.deepEqual(words("今天天气不好。", chinese), [
    "今天 1-1.5",
    "天气 1.5-2",
    "不 2-2.2 ?",
    "好。 2.2-3",
  ]);
  assert.deepEqual(words("今天天气很好。", chinese), [
    "今天 1-1.5",
    "天气 1.5-2",
    "很 2-2.2",
    "好。 2.2-3",
  ]);
});

test("a segment without words has its new text alone", () => {
  assert.deepEqual(corrected(segment(null, " one two"), "three"), segment(null, " three"));
});

test("whatever is typed, the words are in order, in the segment, and are the text", () => {
  let seed = 1;
  const random = (below: number): number => {
    seed = (seed * 48_271) % 2_147_483_647;
    return seed % below;
  };
  const said = "a b c d e f g".split(" ");
  for (let round = 0; round < 500; round += 1) {
    const count = 1 + random(6);
    const old = segment(
      Array.from({ length: count }, (_, i): Said => {
        const start = 1 + i + random(5) / 10;
        return [` ${said[random(said.length)]}`, start, start + 0.5];
      }),
    );
    const text = Array.from({ length: 1 + random(8) }, () => said[random(said.length)]).join(" ");
    const made = corrected(old, text);
    assert.equal(made.words!.map(({ word }) => word).join(""), made.text);
    let before = 0;
    for (const { start, end } of made.words as Word[]) {
      assert.ok(before <= start && start <= end && end <= 10, JSON.stringify([old, made]));
      before = end;
    }
  }
});
