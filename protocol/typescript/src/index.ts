export { bundledWorker, unpackedPath, type BundledWorker } from "./electron.js";
export {
  AbortError,
  ProtocolError,
  RpcError,
  WorkerEndedError,
  WorkerNotFoundError,
  type Ending,
} from "./errors.js";
export { findWorker, type FindOptions } from "./find.js";
export type { LiveOptions, LiveParams, LiveStream } from "./live.js";
export type {
  Method,
  Params,
  PartialStream,
  Partials,
  Progress,
  RequestOptions,
  Result,
  StreamOptions,
} from "./methods.js";
export type { CloseOptions, Command, LogMessage, RestartOptions, SpawnOptions } from "./options.js";
export type { Samples } from "./samples.js";
export type * from "./types.js";
export { TranscriptionWorker } from "./worker.js";
