"""Check every setting, and what the settings name outside of the pipeline, before any work is done.

DVC runs this on every `dvc repro`, for what a parameter names may have changed or gone while params.yaml is as it was.
The first stages depend on what it writes, so that nothing begins, and DVC takes no earlier output away, before all is
checked. Of a local encoder, of `train.start_from` and of `data.evidence_dir` it writes a fingerprint, by which the
stages that read them rerun.
"""

import json
import logging
import shlex
import shutil
from pathlib import Path

from stages.handover.model_type import architecture_of, model_of
from stages.project import durations, files, formats, params, paths, workspace
from stages.project.errors import InputError
from stages.project.stage import run
from stages.synonyms import pools

log = logging.getLogger("stages.check_params")

FORMATS = {
    "mimic3": "the folder of MIMIC-III's tables",
    "mimic4": "the folder of MIMIC-IV's hospital module",
    "codiesp": "the folder with CodiEsp's train, dev and test",
    "table": "a folder with one table",
}


def main() -> None:
    settings = params.load()
    check_sizes(settings)
    check_inputs(settings)
    fingerprints = {
        "settings": {},
        "encoder": fingerprint_of_encoder(settings.encoder),
        "start_from": fingerprint_of_start(settings.train.start_from),
        "evidence": fingerprint_of_evidence(settings.data),
    }
    with files.whole_directory(paths.CHECKED) as folder:
        for name, content in fingerprints.items():
            formats.write_json(folder / f"{name}.json", content)
    log.info("%s; %s", summary(settings), durations.all_stages())


def summary(settings: params.Params) -> str:
    """What is about to be computed, in a line."""
    data, synonyms = settings.data, settings.synonyms
    model: str = settings.model.type
    if model_of(settings).msam:
        model += f", {synonyms.M} synonym{'s' if synonyms.M > 1 else ''} by {synonyms.criterion}"
    return f"{model}; {data.format}, subset {data.subset}, in {data.raw_dir}; encoder {settings.encoder.source}"


def check_sizes(settings: params.Params) -> None:
    """Raise InputError for sizes that do not go together, as far as they can be known without the encoder's weights."""
    model, architecture = model_of(settings), architecture_of(settings)
    hidden, positions, where = encoder_sizes(settings.encoder)
    if model.msam and hidden and hidden % settings.synonyms.M:
        raise InputError(
            f"synonyms.M: {settings.synonyms.M} does not divide {hidden}, the hidden size of {where}; MSAM has as many "
            "heads as synonyms, so M must divide it"
        )
    if positions and architecture.chunk_length and architecture.chunk_length > positions:
        raise InputError(
            f"model.chunk_length: {architecture.chunk_length} is more than the {positions} positions of {where}"
        )


def encoder_sizes(encoder: params.Encoder) -> tuple[int | None, int | None, str]:
    """Hidden size and number of positions of the encoder where they can be known now, and its name for the user."""
    if encoder.source == "builtin":
        return encoder.builtin.hidden, encoder.builtin.positions, "the built-in encoder (encoder.builtin)"
    try:
        config = json.loads((Path(encoder.source).expanduser() / "config.json").read_text(encoding="utf-8-sig"))
        return config.get("hidden_size"), config.get("max_position_embeddings"), encoder.source
    except (OSError, ValueError, AttributeError):
        return None, None, encoder.source  # on the hub, or damaged: prepare_encoder says it


def check_inputs(settings: params.Params) -> None:
    """Raise InputError unless every input that a parameter names can be had in every workspace."""
    workspace.check_input("data.raw_dir", settings.data.raw_dir, FORMATS[settings.data.format])
    workspace.check_input("data.notes_dir", settings.data.notes_dir, "the folder of MIMIC-IV's note module")
    workspace.check_input("data.published_dir", settings.data.published_dir, "a folder with the split files")
    workspace.check_input("synonyms.pool_dir", settings.synonyms.pool_dir, "a folder with the files of the pools")
    if settings.data.evidence is not None:
        workspace.check_input("data.evidence_dir", str(settings.data.evidence), "a folder with MDACE's files")
    for name in settings.synonyms.pools:
        if name in pools.FILES:
            pools.path_of(name, Path(settings.synonyms.pool_dir), settings.data.revision)
    for key, value in (
        ("data.raw_dir", settings.data.raw_dir),
        ("data.notes_dir", settings.data.notes_dir),
        ("data.published_dir", settings.data.published_dir),
        ("synonyms.pool_dir", settings.synonyms.pool_dir),
    ):
        if Path(value).is_file():
            raise InputError(f"{key}: {value} is a file; it should be a folder")
    if (folder := Path(settings.encoder.source).expanduser()).is_dir() and not folder.is_absolute():
        workspace.check_input("encoder.source", settings.encoder.source, "a folder with a model")
    start_from = settings.train.start_from
    if start_from is not None and Path(start_from).is_dir():
        workspace.check_input("train.start_from", start_from, "the folder of a classifier")
    launcher = shlex.split(settings.compute.launch)[0]
    if shutil.which(launcher) is None:
        raise InputError(f"compute.launch: {launcher} is not installed here")


def fingerprint_of_encoder(encoder: params.Encoder) -> dict[str, str]:
    """The content of a local encoder; nothing of the built-in one or one on the hub, which parameters say all of."""
    folder = Path(encoder.source).expanduser()
    if encoder.source == "builtin" or not folder.is_dir():
        return {}
    log.info("encoder.source is a folder: taking the fingerprint of its files")
    return {"sha256": files.digest(folder)}


def fingerprint_of_evidence(data: params.Data) -> dict[str, str]:
    """The content of the folder that says where codes are named, unless it is part of the corpus's own folder."""
    if data.evidence is None or Path(data.raw_dir) in data.evidence.parents:
        return {}
    return {"sha256": files.digest(data.evidence)}


def fingerprint_of_start(start_from: str | None) -> dict[str, str]:
    """The content of the folder to start training from, or the commit of a revision. Raises InputError for neither."""
    if start_from is None:
        return {}
    if Path(start_from).is_dir():
        return {"sha256": files.digest(Path(start_from))}
    commit = workspace.git("rev-parse", "--verify", "--quiet", f"{start_from}^{{commit}}")
    if commit is None:
        raise InputError(f"train.start_from: {start_from!r} is neither a folder nor a git revision")
    return {"commit": commit.strip()}


if __name__ == "__main__":
    run(main)
