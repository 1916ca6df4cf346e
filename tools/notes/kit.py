"""Everything needed to code a note: the model, its codes and titles, a threshold, a temperature, the cleaning rule.

All of it is in the pipeline's outputs; `tools.export` collects it in a self-contained folder.
"""

import hashlib
import json
import math
import shutil
import tempfile
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from dvc.exceptions import DvcException
from dvc_data.index import DataIndexDirError

from stages.common import io, outside, paths
from stages.common.io import InputError
from stages.common.lock import Record, md5_of_folder
from stages.corpus import text
from stages.corpus.corpora import CORPORA, title_of
from stages.corpus.document import Subset
from stages.corpus.text import Cleaner
from stages.encoder.tokenizer import load_tokenizer
from stages.modeling.model import CodingModel, load_model, save_model
from stages.modeling.model_type import ModelType
from stages.modeling.predictions import model_folder
from stages.open_codes.scoring import Fitted
from stages.quantification.counting import Counting
from tools.common.revisions import open_revision

KIT, CARD = "kit.json", "README.md"
OPEN, ENCODER = "open", "encoder"  # folders for open codes in an exported folder
OF_FILES = ("model", "tokenizer", "counting", "open", "encoder")  # fields of a kit that are not in kit.json
NEEDED = (paths.JOINT, paths.CLASSIFICATION, paths.CALIBRATION, paths.PAPER, paths.SELECTIVE, paths.COUNTING)
CLEANERS: dict[str, Cleaner] = {
    "folded": text.fold_white_space,
    "raw": text.as_it_is,
    "words": text.lower_alphanumeric,
    "tokens": text.lower_words,
}


@dataclass(frozen=True)
class Kit:
    """A model with everything needed to interpret its scores.

    accept, leave: the thresholds of promised precision and recall; by_code: those of codes with their own thresholds.
    about: the origin of its training data. open: how codes that it was not trained on are scored with the untrained
    encoder in the folder `encoder`; None if not fitted or left out (there need be no such folder then).
    """

    model: CodingModel
    tokenizer: Any  # for documents
    codes: list[str]
    titles: dict[str, str]
    kinds: dict[str, str]
    threshold: float
    temperature: float
    accept: float | None
    leave: float | None
    by_code: dict[str, list[float | None]]
    cleaning: str
    about: dict[str, Any]
    counting: Counting
    open: Fitted | None
    encoder: Path

    def clean(self, note: str) -> str:
        return text.document([CLEANERS[self.cleaning](note)], CLEANERS[self.cleaning])

    def state(self, code: str, probability: float) -> str:
        """The fate of a code at the promised precision and recall: accepted, to review or left out."""
        accept, leave = self.by_code.get(code, (self.accept, self.leave))
        if accept is not None and probability > accept:
            return "accepted"
        return "left out" if leave is not None and probability <= leave else "to review"

    @property
    def longest(self) -> int:
        """The maximum number of tokens of a text that are read."""
        architecture = self.model.architecture
        if architecture.encoder == "LE":
            return architecture.max_positions
        step = architecture.chunk_length - 2
        return max(architecture.chunk_length, 1 + step * ((architecture.max_tokens - 2) // step))

    @property
    def type(self) -> str:
        architecture = self.model.architecture
        return ModelType(architecture.encoder, architecture.head == "msam", bool(self.about.get("joint"))).name

    @property
    def corpus(self) -> str:
        return title_of(self.about["format"], self.about["subset"], self.about["synthetic"])

    def write(self, folder: Path) -> None:
        """Write the model and everything else to an existing folder, and the checksums of all files to kit.json."""
        save_model(self.model, folder)
        self.counting.save(folder / paths.COUNTING.name)
        if self.open is not None:
            shutil.copytree(self.encoder, folder / OPEN / ENCODER)
            self.open.write(folder / OPEN)
        described = {entry.name: getattr(self, entry.name) for entry in fields(self) if entry.name not in OF_FILES}
        described["files"] = {path.name: io.digest(path) for path in sorted(folder.iterdir())}
        io.write_json(folder / KIT, described | {"checksum": _checksum(described)}, digits=17)


def subset_of(corpus: dict[str, str]) -> Subset:
    return CORPORA[corpus["format"]].subsets[corpus["subset"]]


def cleaning_of(corpus: dict[str, str]) -> str:
    return next(name for name, cleaner in CLEANERS.items() if cleaner is subset_of(corpus).clean)


def from_pipeline(root: Path = Path()) -> Kit:
    """The latest model of the pipeline in the repository at `root`. Raises InputError if there is none yet."""
    folder = root / model_folder(root)
    if not folder.is_dir():
        raise InputError(f"{folder} does not exist: there is no model yet; `dvc repro` trains one")
    _check_one_run(root, model_folder(root))
    provenance = io.read_json(folder / paths.PROVENANCE)
    origin, known = provenance["corpus"], provenance["titles"]
    selected = io.read_json(root / paths.SELECTIVE)["test"]
    described = {
        "codes": sorted(known),
        "titles": add_titles({code: known[code]["titles"] for code in sorted(known)}, subset_of(origin).revision == 10),
        "kinds": {code: known[code]["kind"] for code in sorted(known)},
        "threshold": io.read_json(root / paths.CLASSIFICATION)["val"]["shared_threshold"]["threshold"],
        "temperature": io.read_json(root / paths.CALIBRATION)["test"]["temperature"]["temperature"],
        "accept": selected["accept_above"],
        "leave": selected["leave_below"],
        "by_code": {code: pair for code, *pair in selected["by_code"]},
        "cleaning": cleaning_of(origin),
        "about": origin | {"joint": folder.name == paths.JOINT_MODEL.name},
    }
    return _assemble(folder, described, root / paths.COUNTING, root / paths.OPEN, (root / paths.ENCODER).absolute())


def _check_one_run(root: Path, folder: Path) -> None:
    """Raise InputError unless dvc.lock attributes model, codes and figures to the same run."""
    record = Record.from_folder(root)
    md5s = {path: io.md5((root / path).read_bytes()) for path in NEEDED if (root / path).is_file()}
    md5s |= {path: md5_of_folder(root / path) for path in (folder, paths.OPEN) if (root / path).is_dir()}
    for path, md5 in md5s.items():
        if doubt := record.doubt(path, md5):
            raise InputError(f"model, codes and metrics are not of one run: {doubt}; `dvc repro` makes them consistent")


def add_titles(titles: dict[str, list[str]], in_icd10: bool) -> dict[str, str]:
    """The title of each code, printable: the corpus's first one, otherwise ICD-10-CM's, otherwise none."""
    known: dict[str, str] = {}
    if in_icd10 and not all(titles.values()):
        import simple_icd_10_cm as icd10cm  # reads the whole classification: two seconds

        known = {code: icd10cm.get_description(code) for code in titles if icd10cm.is_valid_item(code)}
    return {code: outside.printable(next(iter(listed), known.get(code, ""))) for code, listed in titles.items()}


def from_revision(revision: str) -> Kit:
    """The model of an experiment or git revision, from DVC's cache. Raises InputError if it is not there."""
    paths.CLASSIFIER.parent.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=paths.CLASSIFIER.parent) as temporary:
        root = Path(temporary)
        try:
            files = open_revision(revision)
            for path in (*NEEDED, *(path for path in paths.LOCKS if files.exists(str(path)))):
                (root / path).parent.mkdir(parents=True, exist_ok=True)
                files.get_file(str(path), str(root / path))
            folder = model_folder(root)
            files.get(str(folder), str(root / folder), recursive=True)
        except (DvcException, OSError, DataIndexDirError) as error:
            reason = " ".join(str(error).split()) or type(error).__name__
            wrong = f"--revision {revision}: its model is not in git and DVC's cache ({reason})"
            raise InputError(f"{wrong}; make it again there: `git checkout`, `dvc repro`") from None
        return from_pipeline(root)


def from_folder(folder: Path) -> Kit:
    """The model that `tools.export` wrote to `folder`. Raises InputError if it did not."""
    if not (folder / KIT).is_file():
        raise InputError(f"{folder} has no {KIT}; it should be a folder that `python -m tools.export` wrote")
    described = _read(folder)
    if described.pop("checksum", None) != _checksum(described):
        raise InputError(f"{folder / KIT} is not as `python -m tools.export` wrote it; export again")
    for name, checksum in described.pop("files").items():
        if not (folder / name).exists() or io.digest(folder / name) != checksum:
            raise InputError(f"{folder / name} is missing, or not as it was exported; export again")
    return _assemble(folder, described, folder / paths.COUNTING.name, folder / OPEN, folder / OPEN / ENCODER)


def exported_into(folder: Path) -> set[str]:
    """The names of the files that an earlier `tools.export` wrote to `folder`; empty if it wrote none."""
    files = _read(folder).get("files") if (folder / KIT).is_file() else None
    return {KIT, CARD, *files} if isinstance(files, dict) else set()


def _read(folder: Path) -> dict[str, Any]:
    described = outside.parse_json(outside.read_text(folder / KIT), folder / KIT)
    return described if isinstance(described, dict) else {}


def _checksum(described: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(described, sort_keys=True).encode()).hexdigest()


def _assemble(folder: Path, described: dict[str, Any], counting: Path, open_codes: Path, encoder: Path) -> Kit:
    model = load_model(folder)
    if (n_scored := model.head.n_codes) != (n_codes := len(described["codes"])):
        raise InputError(f"{folder} scores {n_scored} codes, but lists {n_codes}; `dvc repro` makes them consistent")
    if not 0 <= described["threshold"] <= 1 or not 0 < described["temperature"] < math.inf:
        raise InputError(f"{folder}: unusable threshold or temperature; `dvc repro evaluate`")
    tokenizer = load_tokenizer(folder, model.architecture.lowercase_documents)
    fitted = Fitted.read(open_codes)
    return Kit(model, tokenizer, **described, counting=Counting.load(counting), open=fitted, encoder=encoder)
