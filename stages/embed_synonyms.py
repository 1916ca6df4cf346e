"""Embed every candidate synonym once, whatever M and criterion choose of them later."""

import logging

import numpy as np
from safetensors.numpy import save_file

from stages.encoder.architecture import Architecture
from stages.encoder.encoder import cls_embeddings, load_encoder, load_tokenizer
from stages.modeling import devices
from stages.project import params, paths
from stages.project.files import read_json, whole_file
from stages.project.stage import run

log = logging.getLogger("stages.embed_synonyms")

# The encoder with its own positions and full attention; of the sizes, only what it must have room for counts.
AS_IT_IS = Architecture(encoder="CE", head="plain", padding="masked", dropout=0.0, chunk_length=2, max_tokens=3)


def main() -> None:
    compute = params.load().compute
    device = devices.start(compute.device, "float32", compute.threads).device
    candidates = read_json(paths.CANDIDATES)
    phrases = [phrase for code in sorted(candidates) for phrase in candidates[code]]
    encoder, _ = load_encoder(paths.ENCODER, AS_IT_IS)
    distinct = sorted(set(phrases))
    embeddings = np.empty((0, encoder.config.hidden_size), dtype=np.float32)
    if phrases:
        embeddings = cls_embeddings(encoder, load_tokenizer(paths.ENCODER), distinct, device).numpy()
    row_of = {phrase: row for row, phrase in enumerate(distinct)}
    rows = np.array([row_of[phrase] for phrase in phrases], dtype=np.intp)
    with whole_file(paths.EMBEDDINGS) as partial:
        save_file({"embeddings": embeddings[rows]}, partial)
    log.info("embedded %d candidates (%d different) on %s", len(phrases), len(distinct), device.type)


if __name__ == "__main__":
    run(main, memory="encoder.builtin.hidden")
