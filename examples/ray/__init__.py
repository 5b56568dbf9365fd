"""`transcription-worker batch` over a Ray cluster: the same inputs, files, report and `--resume`.

    python -m examples.ray INPUT… --output-dir DIR [--jobs N] [--num-gpus 1]

Actors, not Ray Data: an actor is what a worker process needs, something that lives as long as its
loaded model and owns a share of a GPU. A row of Ray Data has neither retries of its own nor an
error of its own, and results here are files, not a data set to be streamed on.

Recordings and DIR are on a file system that all nodes see at the same paths. Results do not travel
through Ray: whoever has no shared disk for recordings of gigabytes needs one first, and then the
worker's own way to write files, whole or not at all, holds on it as it does on one machine.
"""
