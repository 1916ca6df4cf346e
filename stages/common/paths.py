"""All paths, relative to the repository root, where DVC runs every stage."""

from pathlib import Path

PARAMS = Path("params.yaml")
LOCKS = (Path("dvc.lock"), Path("data/demo/dvc.lock"))
PROVENANCE = "provenance.json"  # stored with a model: what it was trained on

DEMO = Path("data/demo/mimic")  # the embedded corpus
CHECKED = Path("data/checked")  # settings.json, encoder.json ...: see stages/check_params.py
SPLIT_FILES = Path("data/split_files")  # the published split files that data.subset needs
SPLITS = Path("data/splits")
CODES = SPLITS / "codes.json"  # code -> {"kind", "titles"}
CORPUS = SPLITS / "corpus.json"  # origin of the documents; a model of one subset must not warm-start another
GOLD = SPLITS / "gold.json"  # CodiEsp: part -> case -> all its codes, including those outside the subset
EVIDENCE = SPLITS / "evidence.parquet"  # part, document_id, code, begin, end, trap: which characters name a code
SPLIT_STATISTICS = Path("metrics/splits.json")

CANDIDATES = Path("data/synonyms/candidates.json")  # code -> candidate phrases
EMBEDDINGS = Path("data/synonyms/embeddings.safetensors")  # one row per candidate, codes in sorted order
SELECTED = Path("data/synonyms/selected.json")  # code -> M phrases
SELECTION = Path("data/synonyms/selection.csv")  # per code: objective, proven bound, gap, method
SELECTED_TABLE = Path("data/synonyms/selected.md")  # the same for people to read
POOL_STATISTICS = Path("metrics/pools.json")
SYNONYM_STATISTICS = Path("metrics/synonyms.json")

LABELS = Path("data/labels")
LABEL_CODES = LABELS / "codes.json"  # sorted codes: the columns of all targets and predictions
LABEL_DOCUMENTS = LABELS / "documents.parquet"  # part, document_id, subject_id: the rows
ARCHITECTURE = LABELS / "architecture.json"  # what train_classifier builds
HEAD_SYNONYMS = LABELS / "synonyms.json"  # code -> phrases for an MSAM head, {} for a plain one
OPEN_LABELS = LABELS / "open.json"  # codes withheld from training; how an MSAM head's synonyms were chosen
JOINT = LABELS / "joint.json"  # {"joint": true} for *_CLQ

ENCODER = Path("models/encoder")
CLASSIFIER = Path("models/classifier")
CHECKPOINTS = Path("models/checkpoints")  # where killed runs resume from without a DVC repository
PREDICTIONS = Path("models/predictions")
QUANTIFIER = Path("models/quantifier")
JOINT_MODEL = Path("models/joint")
COUNTING = Path("models/counting.safetensors")  # everything needed to count codes in a group of documents
OPEN = Path("models/open")  # how open codes are scored
MIX = "mix.json"  # stored there; {} without open codes
SUBMISSION = Path("models/submission")  # CodiEsp: predictions in the official script's format

PAPER = Path("metrics/paper.json")  # the figures of the paper's tables, in percent (RAE unscaled)
CLASSIFICATION = Path("metrics/classification.json")
CALIBRATION = Path("metrics/calibration.json")
SELECTIVE = Path("metrics/selective.json")
QUANTIFICATION = Path("metrics/quantification.json")
EXPLANATIONS = Path("metrics/explanation.json")
BASELINES = Path("metrics/baselines.json")
OPEN_CODES = Path("metrics/open.json")
PLOTS = Path("metrics/plots")
OPEN_RELIABILITY = PLOTS / "reliability_open.csv"
PLAUSIBILITY = PLOTS / "plausibility.csv"
REPORT = Path("report")  # tables and plots across experiments; not a DVC output


def split(part: str) -> Path:
    """The documents of one part: document_id, subject_id, text, codes."""
    return SPLITS / f"{part}.parquet"


def targets(part: str) -> Path:
    """The targets of one part: sparse (documents, codes)."""
    return LABELS / f"{part}.npz"


def predictions(folder: Path, part: str) -> Path:
    """The logits of one part (val, test or uncoded): float32 (documents, codes) under the key `logits`."""
    return folder / f"{part}.safetensors"
