"""Embed every candidate synonym once, independently of M and the selection criterion."""

import logging

import numpy as np
from safetensors.numpy import save_file

from stages.common import devices, io, params, paths
from stages.common.runner import run
from stages.encoder.encoder import AS_IT_IS, cls_embeddings, load_encoder
from stages.encoder.tokenizer import load_tokenizer

log = logging.getLogger("stages.embed_synonyms")


def main() -> None:
    device = devices.start(params.load().compute, "float32").device
    candidates = io.read_json(paths.CANDIDATES)
    phrases = [phrase for code in sorted(candidates) for phrase in candidates[code]]
    encoder, _ = load_encoder(paths.ENCODER, AS_IT_IS)
    distinct = sorted(set(phrases))
    embeddings = np.empty((0, encoder.config.hidden_size), dtype=np.float32)
    if phrases:
        embeddings = cls_embeddings(encoder, load_tokenizer(paths.ENCODER), distinct, device).numpy()
    row_of = {phrase: row for row, phrase in enumerate(distinct)}
    rows = np.array([row_of[phrase] for phrase in phrases], dtype=np.intp)
    with io.whole_file(paths.EMBEDDINGS) as partial:
        save_file({"embeddings": embeddings[rows]}, partial)
    log.info("embedded %d candidates (%d different) on %s", len(phrases), len(distinct), device.type)


if __name__ == "__main__":
    run(main)
