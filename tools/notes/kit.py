"""What it takes to code a note: the model, its codes and titles, a threshold, a temperature, and the cleaning rule.

The pipeline has all of it in its outputs; `tools.export` puts it into one folder that stands alone.
"""

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dvc.api import DVCFileSystem
from dvc.exceptions import DvcException
from scmrepo.exceptions import SCMError

from stages.common import io, params, paths
from stages.common.io import InputError
from stages.corpus import text
from stages.corpus.corpora import CORPORA, is_synthetic
from stages.corpus.text import Cleaner
from stages.encoder.tokenizer import load_tokenizer
from stages.modeling.model import CodingModel, load_model
from stages.modeling.predictions import model_folder

KIT = "kit.json"
NEEDED = (  # beside the model
    paths.PARAMS,
    paths.CODES,
    paths.CORPUS,
    paths.LABEL_CODES,
    paths.JOINT,
    paths.CLASSIFICATION,
    paths.CALIBRATION,
)
CLEANERS: dict[str, Cleaner] = {"folded": text.fold_white_space, "words": text.lower_alphanumeric}


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

    def clean(self, note: str) -> str:
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

    def describe(self) -> dict[str, Any]:
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
    clean = CORPORA[corpus["format"]].subsets[corpus["subset"]].clean
    return next(name for name, cleaner in CLEANERS.items() if cleaner is clean)


def from_pipeline(root: Path = Path()) -> Kit:
    """What the pipeline made last, in the repository at `root`. Raises InputError where it has made no model yet."""
    folder = root / model_folder(root)
    if not folder.is_dir():
        raise InputError(f"{folder} does not exist: there is no model yet; `dvc repro` trains one")
    known, corpus = io.read_json(root / paths.CODES), io.read_json(root / paths.CORPUS)
    codes = io.read_json(root / paths.LABEL_CODES)
    measured = io.read_json(root / paths.CLASSIFICATION)["val"]["shared_threshold"]
    settings = params.load(root / paths.PARAMS)
    in_icd10 = CORPORA[corpus["format"]].subsets[corpus["subset"]].revision == 10
    described = {
        "codes": codes,
        "titles": add_titles({code: known[code]["titles"] for code in codes}, in_icd10),
        "kinds": {code: known[code]["kind"] for code in codes},
        "threshold": measured["threshold"],
        "temperature": io.read_json(root / paths.CALIBRATION)["test"]["temperature"]["temperature"],
        "cleaning": cleaning_of(corpus),
        "about": corpus | {"synthetic": is_synthetic(settings.data)},
    }
    return _assemble(folder, described)


def add_titles(titles: dict[str, list[str]], in_icd10: bool) -> dict[str, str]:
    """The title of each code: the corpus's first; else, of ICD-10-CM codes, the classification's; else none."""
    if all(titles.values()) or not in_icd10:
        return {code: next(iter(listed), "") for code, listed in titles.items()}
    import simple_icd_10_cm as icd10cm  # reads the whole classification: two seconds

    known = {code: icd10cm.get_description(code) for code in titles if icd10cm.is_valid_item(code)}
    return {code: next(iter(listed), known.get(code, "")) for code, listed in titles.items()}


def from_revision(revision: str) -> Kit:
    """The model of an experiment, or another git revision, from DVC's cache. Raises InputError where it isn't there."""
    paths.CLASSIFIER.parent.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=paths.CLASSIFIER.parent) as temporary:
        root = Path(temporary)
        try:
            there = DVCFileSystem(rev=revision)
            for path in NEEDED:
                (root / path).parent.mkdir(parents=True, exist_ok=True)
                there.get_file(str(path), str(root / path))
            folder = model_folder(root)
            there.get(str(folder), str(root / folder), recursive=True)
        except (DvcException, SCMError, OSError) as error:
            reason = " ".join(str(error).split()) or type(error).__name__
            raise InputError(f"--revision {revision}: its model is not in git and DVC's cache ({reason})") from None
        return from_pipeline(root)


def from_folder(folder: Path) -> Kit:
    """What `tools.export` wrote into `folder`. Raises InputError where it did not."""
    if not (folder / KIT).is_file():
        raise InputError(f"{folder} has no {KIT}; it should be a folder that `python -m tools.export` wrote")
    return _assemble(folder, io.read_json(folder / KIT))


def _assemble(folder: Path, described: dict[str, Any]) -> Kit:
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
    io.write_json(folder / KIT, kit.describe(), digits=17)
