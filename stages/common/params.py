"""The pipeline's parameters: typed and checked once, with errors that name the key, the value and the choices.

Types and ranges only: no stage depends on this module, so nothing here may affect a byte of any output.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from ruamel.yaml import YAML, YAMLError

from stages.common import paths
from stages.common.io import InputError

Positive = Annotated[int, Field(gt=0, le=10**9)]
Size = Annotated[int, Field(gt=0, le=2**16)]  # of a layer or a chunk; no machine holds more
Tokens = Annotated[int, Field(ge=8, le=2**20)]
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Rate = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, lt=1)]
Seed = Annotated[int, Field(ge=0, lt=2**32)]

Validated = TypeVar("Validated", bound=BaseModel)
LAUNCHERS = ("python", "accelerate launch", "torchrun", "srun")


class Section(BaseModel):
    """A section of params.yaml: every key is required, and unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, populate_by_name=True)


class Data(Section):
    format: str  # these three: stages/corpus/corpora.py knows the choices
    subset: str
    split: str
    raw_dir: str
    notes_dir: str
    published_dir: str
    evidence_dir: str | None
    min_documents: Positive
    withheld: Annotated[int, Field(ge=0)]
    seed: Seed


class Demo(Section):
    admissions: Annotated[int, Field(ge=100)]


class Synonyms(Section):
    pools: Annotated[list[str], Field(min_length=1)]  # stages/synonyms/pools.py knows the choices
    pool_dir: str
    max_candidates: Positive
    M: Size
    criterion: Literal["MDP", "rand"]
    solver: Literal["cp_sat", "search"]
    time_limit: Rate
    seed: Seed


class Encoder(Section):
    source: str
    revision: str | None
    lowercase_documents: bool | None
    dropout: Share | None
    steps: Positive


class Model(Section):
    type: Literal["CE", "CE_MSAM", "CE_CLQ", "CE_MSAM_CLQ", "LE", "LE_MSAM", "LE_CLQ", "LE_MSAM_CLQ"]
    padding: Literal["masked", "original"]
    initialisation: Literal["torch", "identity"]
    chunk_length: Tokens
    max_tokens: Tokens
    window: Annotated[int, Field(ge=2, le=2**20)]
    max_positions: Tokens
    dropout: Share


class Train(Section):
    learning_rate: Rate
    output_learning_rate: Rate | None
    warmup: Share
    weight_decay: NotNegative
    epochs: Positive
    patience: Positive
    batch_documents: Positive
    chunk_budget: Positive
    clip_norm: Rate | None
    start_from: str | None
    compile: bool
    seed: Seed


class Clq(Section):
    lambda_: Annotated[float, Field(ge=0, allow_inf_nan=False, alias="lambda")]
    delta: Rate
    learning_rate: Rate
    epochs: Positive
    patience: Positive
    memory: Literal["reset", "original"]
    seed: Seed


class Quantifier(Section):
    hidden: Size
    learning_rate: Rate
    epochs: Positive
    patience: Positive
    early_stopping: Literal["validation", "original"]
    train_samples: Positive
    test_samples: Positive
    seed: Seed


class Baselines(Section):
    enabled: bool


class Evaluate(Section):
    bins: Positive
    bootstrap: Annotated[int, Field(ge=0)]
    seed: Seed


class Selective(Section):
    precision: Annotated[float, Field(gt=0, lt=1)]
    recall: Annotated[float, Field(gt=0, lt=1)]


class Explain(Section):
    documents: Annotated[int, Field(ge=0)]


class Open(Section):
    codes: str | None  # corpus, icd10cm, or a file


class Compute(Section):
    device: Literal["auto", "cpu", "cuda"]
    precision: Literal["auto", "float32", "bf16", "fp16"]
    threads: Annotated[int, Field(gt=0, le=256)]
    portable: bool
    launch: str

    @model_validator(mode="after")
    def starts_processes(self) -> "Compute":
        if not any(f"{self.launch} ".startswith(f"{launcher} ") for launcher in LAUNCHERS):
            raise ValueError(f"compute.launch: {self.launch!r} begins with none of {', '.join(map(repr, LAUNCHERS))}")
        return self


class Params(Section):
    """params.yaml, section by section; comments there explain each key."""

    data: Data
    demo: Demo
    synonyms: Synonyms
    encoder: Encoder
    model: Model
    train: Train
    clq: Clq
    quantifier: Quantifier
    baselines: Baselines
    evaluate: Evaluate
    selective: Selective
    explain: Explain
    open: Open
    compute: Compute


def load(path: Path = paths.PARAMS) -> Params:
    """Read and check params.yaml. Raises InputError that names the key, the value and the valid choices."""
    return validate(Params, parse(read(path)), str(path))


def read(path: Path = paths.PARAMS) -> str:
    """The text of a parameter file. Raises InputError if it is missing or not UTF-8."""
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise InputError(f"{path} does not exist; run from the repository's root") from None
    except UnicodeDecodeError:
        raise InputError(f"{path} is not UTF-8 text") from None


def parse(text: str, source: str = str(paths.PARAMS)) -> Any:
    """Parse YAML 1.2, in which `2e-05` (as DVC writes it) is a number. Raises InputError."""
    try:
        return YAML(typ="safe", pure=True).load(text)
    except YAMLError as error:
        raise InputError(f"{source} is not valid YAML: {' '.join(str(error).split())}") from None
    except RecursionError:
        raise InputError(f"{source} is nested too deep") from None
    except ValueError:
        raise InputError(f"{source} has a number of too many digits") from None


def validate(kind: type[Validated], content: object, source: str = str(paths.PARAMS)) -> Validated:
    """`content`, read from `source`, as a `kind`. Raises InputError that lists every problem."""
    try:
        return kind.model_validate(content)
    except ValidationError as error:
        raise InputError(f"{source}: " + "; ".join(_explain(kind, item) for item in error.errors())) from None


def _explain(kind: type[BaseModel], item: Mapping[str, Any]) -> str:
    """One of pydantic's errors as `key: value` and what would be valid."""
    key = ".".join(str(step) for step in item["loc"] if step != "constrained-str")
    match item["type"]:
        case "extra_forbidden":
            known = ", ".join(map(str, _fields(type_of(item["loc"][:-1], kind))))
            return f"{key}: no such key; the keys here are {known}"
        case "missing":
            return f"{key}: is missing"
        case "literal_error":
            return f"{key}: {item['input']!r} is not one of {item['ctx']['expected']}"
        case "value_error":
            return str(item["ctx"]["error"])
        case _:
            return f"{key}: {item['input']!r} {item['msg'].removeprefix('Input ').removeprefix('List ')}"


def type_of(key: tuple[str | int, ...], kind: Any = Params) -> Any:
    """The type of a parameter given its path, such as `str`; None if there is no such parameter."""
    for step in key:
        kind = _fields(kind).get(step)
    return kind


def _fields(kind: Any) -> dict[str | int, Any]:
    """The type of each key of a section."""
    fields = getattr(kind, "model_fields", {})
    return {field.alias or name: field.annotation for name, field in fields.items()}
