"""Check every setting, and the files and folders that settings name, before any work is done.

DVC runs this on every `dvc repro`, because files named by a parameter can change while params.yaml does not. The first
stages depend on its outputs, so nothing starts, and DVC removes no earlier output, before everything is checked. It
writes fingerprints of a local encoder, `train.start_from` and `data.evidence_dir`, so that the stages that read these
rerun when they change.
"""

import logging
import shlex
import shutil
from pathlib import Path

from stages.common import io, outside, params, paths, workspace
from stages.common.io import InputError
from stages.common.runner import run
from stages.corpus import corpora
from stages.encoder.families import BUILTIN, HIDDEN, POSITIONS, folder_of
from stages.modeling.model_type import ModelType, architecture_of
from stages.open_codes.phrases import CORPUS, ICD10CM, read_pool
from stages.synonyms import pools

log = logging.getLogger("stages.check_params")


def main() -> None:
    settings = params.load()
    description, subset = corpora.describe(settings.data)
    check_sizes(settings)
    check_inputs(settings, description.folder)
    pools.check(settings.synonyms.pools, Path(settings.synonyms.pool_dir), subset.revision)
    evidence = corpora.evidence_folder(settings.data)
    if evidence is not None and Path(settings.data.raw_dir) in evidence.parents:
        evidence = None  # a part of the corpus's folder, on which the stages depend anyway
    fingerprints = {
        "settings": {},
        "encoder": fingerprint(folder_of(settings.encoder.source)),  # parameters define the built-in and the hub's
        "start_from": fingerprint(settings.train.start_from),
        "evidence": fingerprint(evidence),
        "open": fingerprint(open_file(settings)),
    }
    with io.whole_directory(paths.CHECKED) as folder:
        for name, content in fingerprints.items():
            io.write_json(folder / f"{name}.json", content)
    log.info("%s", summary(settings))


def fingerprint(path: Path | str | None) -> dict[str, str]:
    return {} if path is None else {"sha256": io.digest(Path(path))}


def summary(settings: params.Params) -> str:
    data, synonyms = settings.data, settings.synonyms
    model: str = settings.model.type
    if ModelType.parse(model).msam:
        model += f", {synonyms.M} synonym{'s' if synonyms.M > 1 else ''} by {synonyms.criterion}"
    return f"{model}; {data.format}, subset {data.subset}, in {data.raw_dir}; encoder {settings.encoder.source}"


def check_sizes(settings: params.Params) -> None:
    """Raise InputError for sizes that do not fit together, as far as known without the encoder's weights."""
    architecture = architecture_of(settings)
    hidden, positions, where = encoder_sizes(settings.encoder)
    if architecture.head == "msam" and hidden and hidden % settings.synonyms.M:
        raise InputError(
            f"synonyms.M: {settings.synonyms.M} does not divide {hidden}, the hidden size of {where}; MSAM has as many "
            "heads as synonyms, so M must divide it"
        )
    if positions and architecture.chunk_length and architecture.chunk_length > positions:
        raise InputError(
            f"model.chunk_length: {architecture.chunk_length} is more than the {positions} positions of {where}"
        )


def encoder_sizes(encoder: params.Encoder) -> tuple[int | None, int | None, str]:
    """The encoder's hidden size and number of positions, if known by now, and its name for messages."""
    if encoder.source == BUILTIN:
        return HIDDEN, POSITIONS, "the built-in encoder"
    try:
        path = Path(encoder.source).expanduser() / "config.json"
        config = outside.parse_json(outside.read_text(path), path)
        return config.get("hidden_size"), config.get("max_position_embeddings"), encoder.source
    except (InputError, AttributeError):
        return None, None, encoder.source  # on the hub, or damaged, which prepare_encoder reports


def check_inputs(settings: params.Params, raw_dir: str) -> None:
    """Raise InputError unless every input named by a parameter is available in every workspace.

    `raw_dir` says what data.raw_dir should be.
    """
    folders = {
        "data.raw_dir": (settings.data.raw_dir, raw_dir),
        "data.notes_dir": (settings.data.notes_dir, "the folder of MIMIC-IV's note module"),
        "data.published_dir": (settings.data.published_dir, "a folder with the split files"),
        "synonyms.pool_dir": (settings.synonyms.pool_dir, "a folder with the files of the pools"),
    }
    if (evidence := corpora.evidence_folder(settings.data)) is not None:
        folders["data.evidence_dir"] = str(evidence), "a folder with MDACE's files"
    for key, (value, meaning) in folders.items():
        if not value.strip() or Path(value) == Path():
            raise InputError(f"{key}: {value!r} should be {meaning}")
        workspace.check_input(key, value, meaning)
        if Path(value).is_file():
            raise InputError(f"{key}: {value} is a file; it should be {meaning}")
    source, start_from = folder_of(settings.encoder.source), settings.train.start_from
    if source is not None and not source.is_absolute():
        workspace.check_input("encoder.source", settings.encoder.source, "a folder with a model")
    if start_from is not None:
        workspace.check_input("train.start_from", start_from, "the folder of a classifier")
        if Path(start_from).resolve() == paths.CLASSIFIER.resolve():
            raise InputError(f"train.start_from: {start_from} is what the training itself writes; copy it elsewhere")
        if not (Path(start_from) / paths.PROVENANCE).is_file():
            raise InputError(f"train.start_from: {start_from} has no provenance.json: it is not a trained classifier")
    launcher = shlex.split(settings.compute.launch)[0]
    if shutil.which(launcher) is None:
        raise InputError(f"compute.launch: {launcher} is not installed here")


def open_file(settings: params.Params) -> Path | None:
    """The file of open codes, if there is one. Raises InputError if it is unreadable or nothing could be measured."""
    source = settings.open.codes
    if source is not None and not corpora.CORPORA[settings.data.format].official:
        fit = ", ".join(name for name, corpus in corpora.CORPORA.items() if corpus.official)
        raise InputError(
            f"open.codes: {source!r} should be null: only {fit} keeps the codes that its label set leaves out, by "
            "which open codes are fitted and measured; set data.withheld, then take `code_notes --also` or `--icd10cm`"
        )
    if source in (None, CORPUS, ICD10CM):
        return None
    workspace.check_input("open.codes", source, "corpus, icd10cm, or a file that maps codes to phrases")
    read_pool(Path(source))
    return Path(source)


if __name__ == "__main__":
    run(main)
