/** Gives each speaker a colour and a name, in the order of their first appearance. */
export const SPEAKER_COLOURS = 8;

export class Speakers {
  readonly #known: string[] = [];

  constructor(private readonly onNew: () => void) {}

  clear(): void {
    this.#known.length = 0;
    this.onNew();
  }

  /** The number of the colour, as in the style sheet's `--speaker-0`. */
  colour(speaker: string): number {
    if (!this.#known.includes(speaker)) {
      this.#known.push(speaker);
      this.onNew();
    }
    return this.#known.indexOf(speaker) % SPEAKER_COLOURS;
  }

  /** `SPEAKER_00` is for programs. */
  name(speaker: string): string {
    const [, number] = /^(?:SPEAKER|CHANNEL)_(\d+)$/.exec(speaker) ?? [];
    return number === undefined ? speaker : `Speaker ${Number(number) + 1}`;
  }

  get all(): readonly string[] {
    return this.#known;
  }
}
