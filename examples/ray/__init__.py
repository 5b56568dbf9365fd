"""`transcription-worker batch` on a Ray cluster: the same inputs, files, report and `--resume`.

    python -m examples.ray INPUT… --output-dir DIR [--jobs N] [--num-gpus 1]

It uses actors, not Ray Data: like a worker process, an actor lives as long as its loaded model and
owns a share of a GPU. A row of Ray Data has neither its own retries nor its own error, and results
here are files, not a data set to stream on.

Recordings and DIR must be on a file system that all nodes see at the same paths: recordings of
gigabytes need a shared disk anyway, and on it the worker writes files atomically, as it does on one
machine. Results do not travel through Ray.
"""
