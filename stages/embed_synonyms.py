"""Embed every candidate synonym once, whatever M and criterion choose of them later."""

import logging

import torch
from safetensors.numpy import save_file

from stages import params, paths
from stages.files import read_json, whole_file
from stages.stage import run
from stages.synonyms.embed import embed, load

log = logging.getLogger("stages.embed_synonyms")


def main() -> None:
    compute = params.load().compute
    torch.set_num_threads(compute.threads)
    device = compute.device if compute.device != "auto" else "cuda" if torch.cuda.is_available() else "cpu"
    candidates = read_json(paths.CANDIDATES)
    phrases = [phrase for code in sorted(candidates) for phrase in candidates[code]]
    encoder, tokenizer = load(paths.ENCODER, torch.device(device))
    embeddings = embed(phrases, encoder, tokenizer)
    with whole_file(paths.EMBEDDINGS) as partial:
        save_file({"embeddings": embeddings}, partial)
    log.info("embedded %d candidates (%d different) on %s", len(phrases), len(set(phrases)), device)


if __name__ == "__main__":
    run(main)
