"""One description per corpus. A new corpus is an entry in CORPORA and a reader that returns a `Corpus`."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from stages.common import paths
from stages.common.io import InputError
from stages.common.params import Data
from stages.common.parts import PARTS
from stages.corpus import codiesp, mimic, table
from stages.corpus.document import Corpus, Revision, Subset
from stages.corpus.icd import MIMIC_50
from stages.corpus.text import as_it_is, lower_alphanumeric, lower_words

Loaded = tuple[Corpus, dict[str, str] | None]  # with each document's part if the corpus defines it


@dataclass(frozen=True)
class Description:
    """What the pipeline must know about a corpus before reading it.

    title: used in reports. folder: what data.raw_dir should be. protected: whether a data use agreement covers models
    trained on it. evidence: the ICD revisions for which gold spans (data.evidence_dir) can be read. official: whether
    all gold codes are kept for the corpus's own evaluation. load: its reader, called with data.raw_dir a folder.
    """

    title: str
    folder: str
    protected: bool
    splits: tuple[str, ...]
    subsets: Mapping[str, Subset]
    load: Callable[[Data, Subset], Loaded]
    evidence: frozenset[Revision] = frozenset()
    official: bool = False


def describe(data: Data) -> tuple[Description, Subset]:
    """The corpus and subset named by the parameters. Raises InputError if either is unknown."""
    _check("format", data.format, CORPORA)
    corpus = CORPORA[data.format]
    _check("subset", data.subset, corpus.subsets, f" (data.format is {data.format})")
    _check("split", data.split, corpus.splits, f" (data.format is {data.format})")
    subset = corpus.subsets[data.subset]
    if evidence_folder(data) is not None and subset.revision not in corpus.evidence:
        readers = ", ".join(
            f"{name} (ICD-{revision})" for name, other in CORPORA.items() for revision in sorted(other.evidence)
        )
        raise InputError(f"data.evidence_dir: {data.evidence_dir!r} should be null; only {readers} takes evidence")
    return corpus, subset


def _check(key: str, value: str, choices: Iterable[str], where: str = "") -> None:
    if value not in (names := tuple(choices)):
        raise InputError(f"data.{key}: {value!r} is not one of {', '.join(names)}{where}")


def title_of(name: str, subset: str, synthetic: bool) -> str:
    """The name of a corpus for people, such as `MIMIC-III top50, synthetic demo`; an unknown format keeps its own."""
    title = CORPORA[name].title if name in CORPORA else name
    return f"{title} {subset}" + (", synthetic demo" if synthetic else "")


def is_synthetic(data: Data) -> bool:
    return Path(data.raw_dir) == paths.DEMO


def origin_of(data: Data) -> dict[str, str | int | bool | None]:
    """The origin of the documents, stored with every model."""
    corpus, subset = describe(data)
    return {
        "format": data.format,
        "subset": data.subset,
        "revision": subset.revision,
        "synthetic": is_synthetic(data),
        "protected": corpus.protected and not is_synthetic(data),
    }


def evidence_folder(data: Data) -> Path | None:
    """The folder of gold spans; None if it is the embedded corpus's and another corpus is used."""
    if data.evidence_dir is None:
        return None
    folder = Path(data.evidence_dir)
    of_the_demo = paths.DEMO in folder.parents
    return None if of_the_demo and not (is_synthetic(data) and CORPORA[data.format].evidence) else folder


def _load_mimic3(data: Data, subset: Subset) -> Loaded:
    return mimic.load(Path(data.raw_dir), subset, data.min_documents, evidence_dir=evidence_folder(data)), None


def _load_mimic4(data: Data, subset: Subset, release: mimic.Release = mimic.MIMIC_IV) -> Loaded:
    corpus = mimic.load(Path(data.raw_dir), subset, data.min_documents, release, Path(data.notes_dir))
    folder = evidence_folder(data)
    return corpus if folder is None else mimic.add_charts(corpus, folder, subset, release), None


def _load_codiesp(data: Data, subset: Subset) -> Loaded:
    return codiesp.load(Path(data.raw_dir), subset, data.min_documents)


def _load_table(data: Data, subset: Subset) -> Loaded:
    corpus, given = table.load(Path(data.raw_dir), data.min_documents)
    if (given is None) != (data.split == "stratified"):
        has = "names no parts" if given is None else "names the part of each document"
        raise InputError(f"data.split: {data.split}, but the table in {data.raw_dir} {has}")
    return corpus, given


def _sizes(*numbers: int) -> dict[str, int]:
    return dict(zip(PARTS, numbers, strict=True))


def _lists(name: str, folder: str = "") -> tuple[str, ...]:
    return tuple(f"{folder}{part}_{name}_hadm_ids.csv" for part in ("train", "dev", "test"))


def _nguyen(revision: Revision, full: Mapping[str, int], fifty: Mapping[str, int]) -> dict[str, Subset]:
    """Both MIMIC-IV-ICD subsets of a revision, with the sizes of their lists (METHOD.md, section 16)."""
    folder = f"mimic4_icd{revision}/"
    return {
        f"icd{revision}": Subset(revision, lower_words, split_files=_lists("full", folder), documents=full),
        f"top50_icd{revision}": Subset(
            revision,
            lower_words,
            split_files=_lists("50", folder),
            codes_file=f"{folder}TOP_50_CODES.csv",
            documents=fifty,
            n_codes=50,
        ),
    }


# Sizes from Mullenbach et al. (2018) and Edin et al. (2023), for complete files.
_ICD9 = Subset(
    9, lower_alphanumeric, rare=False, split_files=("mimiciv_icd9_split.feather",),
    documents=_sizes(154542, 21980, 32804), n_codes=6147,
)  # fmt: skip
_ICD10 = Subset(
    10, lower_alphanumeric, rare=False, split_files=("mimiciv_icd10_split.feather",),
    documents=_sizes(89099, 13378, 19802), n_codes=7940,
)  # fmt: skip

_CLEAN = Subset(
    9, lower_alphanumeric, rare=False, split_files=("mimiciii_clean_splits.feather",),
    documents=_sizes(38401, 5577, 8734), n_codes=3681,
)  # fmt: skip

CORPORA = {
    "mimic3": Description(
        title="MIMIC-III",
        folder="the folder of MIMIC-III's tables",
        protected=True,
        splits=("stratified", "published"),
        subsets={
            "top50": Subset(
                9, fixed=frozenset(MIMIC_50), split_files=_lists("50"), documents=_sizes(8066, 1573, 1729), n_codes=50
            ),
            "full": Subset(9, split_files=_lists("full"), documents=_sizes(47723, 1631, 3372)),
            "clean": _CLEAN,
            "clean_raw": replace(_CLEAN, clean=as_it_is),
        },
        load=_load_mimic3,
        evidence=frozenset({9}),
    ),
    "mimic4": Description(
        title="MIMIC-IV",
        folder="the folder of MIMIC-IV's hospital module",
        protected=True,
        splits=("stratified", "published"),
        subsets={
            "icd9": _ICD9,
            "icd10": _ICD10,
            "icd9_raw": replace(_ICD9, clean=as_it_is),
            "icd10_raw": replace(_ICD10, clean=as_it_is),
            "top50_icd9": replace(_ICD9, most_frequent=50, documents={}, n_codes=50),
            "top50_icd10": replace(_ICD10, most_frequent=50, documents={}, n_codes=50),
        },
        load=_load_mimic4,
        evidence=frozenset({10}),
    ),
    "mimic4_icd": Description(
        title="MIMIC-IV-ICD (Nguyen et al. 2023)",
        folder="the folder of MIMIC-IV's hospital module",
        protected=True,
        splits=("published",),
        subsets=_nguyen(9, _sizes(188533, 7110, 13709), _sizes(170664, 6406, 12405))
        | _nguyen(10, _sizes(110442, 4017, 7851), _sizes(104077, 3805, 7368)),
        load=partial(_load_mimic4, release=mimic.MIMIC_IV_ICD),
        evidence=frozenset({10}),
    ),
    "codiesp": Description(
        title="CodiEsp",
        folder="the folder with CodiEsp's train, dev and test",
        protected=False,
        splits=("official",),
        subsets={
            "diagnoses": Subset(10, kinds=("diagnosis",)),
            "procedures": Subset(10, kinds=("procedure",)),
            "both": Subset(10),
        },
        load=_load_codiesp,
        official=True,
    ),
    "table": Description(
        title="custom table",
        folder="a folder with one table",
        protected=False,
        splits=("stratified", "given"),
        subsets={"all": Subset(None)},
        load=_load_table,
    ),
}
