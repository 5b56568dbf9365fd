import type { Readable, Writable } from "node:stream";
import { Call, Notice } from "./call.js";
import { ProtocolError, type ErrorObject } from "./errors.js";
import { LineSplitter } from "./framing.js";
import type { Notifications } from "./types.js";

const SHOWN_OF_A_BAD_LINE = 200;

/** Receives everything but the answers to calls. */
export interface Listener {
  onLog(message: Notifications["$/logMessage"]): void;
  onError(error: ProtocolError): void;
  onAnswer(method: string): void;
}

/**
 * JSON-RPC 2.0 over a pair of streams, one message per line.
 *
 * Both directions have backpressure: requests wait in an outbox while the worker does not read, and
 * reading pauses while every caller that waits for an answer is behind with its partial results.
 */
export class Connection {
  readonly #lines = new LineSplitter();
  readonly #text = new TextDecoder("utf-8", { fatal: true });
  readonly #pending = new Map<number, Call>();
  #outbox: (Call | Notice)[] = [];
  #blocked = false;
  #draining = false;

  constructor(
    private readonly input: Readable,
    private readonly output: Writable,
    private readonly listener: Listener,
  ) {
    input.on("data", (chunk: Uint8Array) => this.#read(chunk));
    output.on("drain", () => {
      this.#blocked = false;
      this.#write();
    });
    // Ignore broken pipes: the end of the process, which follows, says more.
    for (const stream of [input, output]) stream.on("error", () => {});
  }

  /** Sends a request as soon as the worker reads. */
  send(call: Call): void {
    this.#pending.set(call.id, call);
    this.#outbox.push(call);
    this.#write();
    this.flow();
  }

  /** Sends a notification as soon as the worker reads, after what was sent before. */
  post(notice: Notice): void {
    this.#outbox.push(notice);
    this.#write();
  }

  /** Cancels a request, which the worker still answers. An unsent request is dropped. */
  cancel(call: Call): void {
    if (this.#outbox.includes(call)) {
      this.#pending.delete(call.id);
      call.reject(undefined);
    } else if (this.#pending.has(call.id)) {
      this.post(new Notice(call, "$/cancelRequest", { id: call.id }));
    }
    this.flow();
  }

  /**
   * Pauses reading while no open call has room for more parts, so that the worker waits; resumes it
   * otherwise. Must be called whenever a call's `full` changes.
   */
  flow(): void {
    if (this.#hasRoom()) {
      if (this.input.isPaused()) this.input.resume();
    } else this.input.pause();
  }

  /** Reads the rest regardless of room, because the worker has ended or must end. */
  drain(): void {
    this.#draining = true;
    this.flow();
  }

  /** Removes the unanswered calls, and returns them. */
  abandon(): Call[] {
    const calls = [...this.#pending.values()];
    this.#pending.clear();
    this.#outbox = [];
    return calls;
  }

  #hasRoom(): boolean {
    if (this.#draining || this.#pending.size === 0) return true;
    for (const call of this.#pending.values()) if (!call.full) return true;
    return false;
  }

  #write(): void {
    while (!this.#blocked && this.#outbox.length > 0) {
      const next = this.#outbox.shift()!;
      const about = next instanceof Notice ? next.about : next;
      const open = this.#pending.has(about.id);
      let line: string;
      if (next instanceof Notice) {
        next.gone = true;
        if (!open) continue;
        line = JSON.stringify(next.message());
      } else if (!open) continue;
      else {
        try {
          line = JSON.stringify(next.message());
        } catch (error) {
          this.#pending.delete(next.id);
          next.reject(error);
          continue;
        }
        next.sent += 1;
      }
      this.#blocked = !this.output.write(`${line}\n`);
    }
  }

  #read(chunk: Uint8Array): void {
    for (const line of this.#lines.push(chunk)) {
      const fault = this.#take(line);
      if (fault) this.listener.onError(fault);
    }
    this.flow();
  }

  /** Handles a line; returns an error if it is not a valid message. */
  #take(line: Uint8Array): ProtocolError | undefined {
    let message: Partial<Message> | null;
    try {
      message = JSON.parse(this.#text.decode(line)) as Partial<Message> | null;
    } catch {
      return bad(line, "a line that is not JSON in UTF-8");
    }
    if (typeof message !== "object" || message === null)
      return bad(line, "a line that is not a message");
    if (typeof message.method === "string") {
      this.#notified(message.method, message.params);
      return undefined;
    }
    const call = this.#pending.get(message.id!);
    if (call === undefined) return bad(line, "an answer without a request");
    const { error } = message;
    this.#pending.delete(call.id);
    this.listener.onAnswer(call.method);
    if (error) call.refuse(error);
    else if ("result" in message) call.resolve(message.result);
    else call.reject(bad(line, "an answer with neither result nor error"));
    return undefined;
  }

  #notified(method: string, params: unknown): void {
    if (method === "$/logMessage") {
      this.listener.onLog(params as Notifications["$/logMessage"]);
    } else if (method === "$/progress") {
      const { token, value } = (params ?? {}) as { token?: unknown; value: never };
      const [, kind, id] = /^(progress|partial)-(\d+)$/.exec(String(token)) ?? [];
      this.#pending.get(Number(id))?.notify(kind as "progress" | "partial", value);
    }
  }
}

function bad(line: Uint8Array, what: string): ProtocolError {
  return new ProtocolError(what, Buffer.from(line.subarray(0, SHOWN_OF_A_BAD_LINE)).toString());
}

interface Message {
  id: number;
  method: unknown;
  params: unknown;
  result: unknown;
  error: ErrorObject;
}
