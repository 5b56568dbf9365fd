/** Says why a request failed, in words for the user. */
import { AbortError, RpcError, WorkerEndedError } from "transcription-worker-client";
import type { Failure } from "./api.js";
import { Refusal } from "./checks.js";

const RESTART = "Try again: the worker restarts. The health report shows what it lacks.";

export function describe(error: unknown): Failure {
  const told = { remedy: null, detail: null };
  if (error instanceof Refusal) {
    return { ...told, kind: "refused", message: error.message, remedy: error.remedy };
  }
  if (error instanceof AbortError) {
    return { ...told, kind: "cancelled", message: "The transcription was cancelled." };
  }
  if (error instanceof RpcError && error.kind === "cancelled") {
    // Not the user, who aborts instead: the worker is being ended, as when the application quits.
    return {
      ...told,
      kind: "worker_ended",
      message: "The worker was ended from outside.",
      remedy: RESTART,
    };
  }
  if (error instanceof RpcError) {
    const { kind = "unexpected", message, remedy = null, data } = error;
    const tail = data["stderrTail"];
    return { kind, message, remedy, detail: typeof tail === "string" ? tail : null };
  }
  if (error instanceof WorkerEndedError) {
    const [message = error.message] = error.message.split(" Its stderr ends with:", 1);
    return { kind: "worker_ended", message, remedy: RESTART, detail: error.stderrTail || null };
  }
  return { ...told, kind: "unexpected", message: String(error) };
}
