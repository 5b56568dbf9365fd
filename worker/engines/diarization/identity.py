"""Which embedding model a pipeline has: embeddings of different models do not compare."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any


def embedding_model(pipeline: Any) -> str:
    """A digest of the weights of a pyannote pipeline's embedding model; empty if it has none."""
    from worker.engines.diarization.onnx_embedding import OnnxEmbedding

    embedding = getattr(pipeline, "_embedding", None)
    if isinstance(embedding, OnnxEmbedding):
        return hashlib.blake2b(Path(embedding.embedding).read_bytes(), digest_size=16).hexdigest()
    model = getattr(embedding, "model_", None)
    if model is None:
        return ""
    digest = hashlib.blake2b(digest_size=16)
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
