/** Gives each speaker a colour and a name, in the order of their first appearance. */
export const SPEAKER_COLOURS = 8;

export class Speakers {
  /** Those of the transcript. */
  #present: readonly string[] = [];
  /** Also of those who have another name now: a correction may be undone. */
  readonly #colours = new Map<string, number>();

  constructor(private readonly onChange: () => void) {}

  clear(): void {
    this.#colours.clear();
    this.keep([]);
  }

  /** The number of the colour, as in the style sheet's `--speaker-0`. */
  colour(speaker: string): number {
    const colour = this.#colours.get(speaker) ?? this.#free();
    this.#colours.set(speaker, colour);
    if (!this.#present.includes(speaker)) this.keep([...this.#present, speaker]);
    return colour % SPEAKER_COLOURS;
  }

  /** A new name keeps the colour, unless another speaker has that name: they become one. */
  rename(speaker: string, name: string): void {
    if (!this.#present.includes(name)) this.#colours.set(name, this.colour(speaker));
  }

  /** These are in the transcript, in this order. */
  keep(present: readonly string[]): void {
    this.#present = present;
    this.onChange();
  }

  /** `SPEAKER_00` is for programs. */
  name(speaker: string): string {
    const [, number] = /^(?:SPEAKER|CHANNEL)_(\d+)$/.exec(speaker) ?? [];
    return number === undefined ? speaker : `Speaker ${Number(number) + 1}`;
  }

  /** The speaker whom the user sees under this name. */
  named(name: string): string | undefined {
    return this.#present.find((speaker) => this.name(speaker) === name);
  }

  get all(): readonly string[] {
    return this.#present;
  }

  #free(): number {
    const used = new Set(this.#present.map((speaker) => this.#colours.get(speaker)));
    let colour = 0;
    while (used.has(colour)) colour += 1;
    return colour;
  }
}
