"""What it takes to code a note: the model, its codes and titles, a threshold, a temperature, and the cleaning rule.

The pipeline has all of it in its outputs; `stages.export` puts it into one folder that stands alone.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stages.corpus import mimic, text
from stages.encoder.encoder import load_tokenizer
from stages.modeling.model import CodingModel, load_model
from stages.project import files, formats, params, paths
from stages.project.errors import InputError

KIT = "kit.json"
CLEANERS: dict[str, Callable[[str], str]] = {"folded": text.fold_white_space, "words": text.lower_alphanumeric}


@dataclass(frozen=True)
class Kit:
    """A model and what its figures mean. `about`: what it was trained on, plain values."""

    model: CodingModel
    tokenizer: Any  # of documents
    codes: list[str]
    titles: dict[str, str]
    kinds: dict[str, str]
    threshold: float
    temperature: float
    cleaning: str
    about: dict[str, Any]

    def cleaned(self, note: str) -> str:
        """A note as the documents that the model learned from were cleaned."""
        return text.document([CLEANERS[self.cleaning](note)], CLEANERS[self.cleaning])

    @property
    def longest(self) -> int:
        """The most tokens of a text that are read."""
        architecture = self.model.architecture
        if architecture.encoder == "LE":
            return architecture.max_positions
        step = architecture.chunk_length - 2
        return max(architecture.chunk_length, 1 + step * ((architecture.max_tokens - 2) // step))

    def described(self) -> dict[str, Any]:
        """All but the model, as it stands in kit.json."""
        return {
            "codes": self.codes,
            "titles": self.titles,
            "kinds": self.kinds,
            "threshold": self.threshold,
            "temperature": self.temperature,
            "cleaning": self.cleaning,
            "about": self.about,
        }


def cleaning_of(corpus: dict[str, str]) -> str:
    """The name of the rule by which a corpus's texts were cleaned (corpus.json: format and subset)."""
    if corpus["format"] in mimic.RELEASES and mimic.SUBSETS[corpus["subset"]].clean is text.lower_alphanumeric:
        return "words"
    return "folded"


def of_pipeline() -> Kit:
    """What the pipeline made last. Raises InputError where it has made no model yet."""
    joint = paths.JOINT.exists() and files.read_json(paths.JOINT)["joint"]
    folder = paths.JOINT_MODEL if joint else paths.CLASSIFIER
    if not folder.is_dir():
        raise InputError(f"{folder} does not exist: there is no model yet; `dvc repro` trains one")
    known, corpus = files.read_json(paths.CODES), files.read_json(paths.CORPUS)
    codes = files.read_json(paths.LABEL_CODES)
    measured = files.read_json(paths.CLASSIFICATION)["val"]["shared_threshold"]
    described = {
        "codes": codes,
        "titles": {code: next(iter(known[code]["titles"]), "") for code in codes},
        "kinds": {code: known[code]["kind"] for code in codes},
        "threshold": measured["threshold"],
        "temperature": files.read_json(paths.CALIBRATION)["test"]["temperature"]["temperature"],
        "cleaning": cleaning_of(corpus),
        "about": corpus | {"synthetic": _synthetic()},
    }
    return _made(folder, described)


def _synthetic() -> bool:
    """Whether the corpus is the embedded one, which is nobody's record."""
    return params.load().data.raw_dir.startswith("data/demo/")


def of_folder(folder: Path) -> Kit:
    """What `stages.export` wrote into `folder`. Raises InputError where it did not."""
    if not (folder / KIT).is_file():
        raise InputError(f"{folder} has no {KIT}; it should be a folder that `python -m stages.export` wrote")
    return _made(folder, files.read_json(folder / KIT))


def _made(folder: Path, described: dict[str, Any]) -> Kit:
    model = load_model(folder)
    n_scored = len(model.head.output.bias) if hasattr(model.head, "output") else len(model.head.Q)
    if n_scored != len(described["codes"]):
        raise InputError(
            f"{folder} scores {n_scored} codes, but {len(described['codes'])} are listed; `dvc repro` makes them fit"
        )
    tokenizer = load_tokenizer(folder, model.architecture.lowercase_documents)
    return Kit(model, tokenizer, **described)


def write_kit(kit: Kit, folder: Path) -> None:
    """Write kit.json into an existing folder."""
    formats.write_json(folder / KIT, kit.described(), digits=17)
