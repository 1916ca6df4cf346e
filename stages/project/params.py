"""The parameters of the pipeline: typed, checked once, with an error that names the key, the value and the choices."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from ruamel.yaml import YAML, YAMLError

from stages.project import paths
from stages.project.errors import InputError

Positive = Annotated[int, Field(gt=0, le=10**9)]
Size = Annotated[int, Field(gt=0, le=2**16)]  # of a layer, a chunk: more would fit into no machine
Tokens = Annotated[int, Field(ge=8, le=2**20)]
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Rate = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, lt=1)]
Seed = Annotated[int, Field(ge=0, lt=2**32)]

SUBSETS = {
    "mimic3": ("top50", "full", "clean"),
    "mimic4": ("icd9", "icd10", "top50_icd9", "top50_icd10"),
    "codiesp": ("diagnoses", "procedures", "both"),
    "table": ("all",),
}
SPLITS = {
    "mimic3": ("stratified", "published"),
    "mimic4": ("stratified", "published"),
    "codiesp": ("official",),
    "table": ("stratified", "given"),
}
# The revision of ICD that a pool describes: the same string can be a code of both.
POOL_REVISIONS = {"wikipedia": "ICD-9-CM", "icd10cm": "ICD-10-CM"}
LAUNCHERS = ("python", "accelerate launch", "torchrun")


class Section(BaseModel):
    """A section of params.yaml: every key is required, an unknown one is an error."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, populate_by_name=True)


class Data(Section):
    format: Literal["mimic3", "mimic4", "codiesp", "table"]
    raw_dir: str
    notes_dir: str
    subset: str
    split: str
    published_dir: str
    evidence_dir: str | None
    min_documents: Positive
    seed: Seed

    @model_validator(mode="after")
    def fits_the_format(self) -> "Data":
        for key, choices in (("subset", SUBSETS[self.format]), ("split", SPLITS[self.format])):
            if getattr(self, key) not in choices:
                wrong = f"data.{key}: {getattr(self, key)!r} is not one of {', '.join(choices)}"
                raise ValueError(f"{wrong} (data.format is {self.format})")
        if self.evidence is not None and self.format != "mimic3":
            wrong = f"data.evidence_dir: {self.evidence_dir!r} should be null"
            raise ValueError(f"{wrong}; only mimic3 takes evidence (data.format is {self.format})")
        return self

    @property
    def evidence(self) -> Path | None:
        """The folder of `evidence_dir`; None where that is the embedded corpus's and the corpus is another."""
        if self.evidence_dir is None:
            return None
        folder = Path(self.evidence_dir)
        if paths.DEMO in folder.parents and (self.format != "mimic3" or Path(self.raw_dir) != paths.DEMO):
            return None
        return folder

    @property
    def revision(self) -> str | None:
        """The revision of ICD that the corpus is coded in, as far as its format says."""
        if self.format == "mimic4":
            return "ICD-9-CM" if self.subset.endswith("icd9") else "ICD-10-CM"
        return {"mimic3": "ICD-9-CM", "codiesp": "ICD-10-CM"}.get(self.format)


class Demo(Section):
    admissions: Annotated[int, Field(ge=100)]
    seed: Seed


class Synonyms(Section):
    pools: Annotated[list[Literal["umls", "wikipedia", "titles", "icd10cm", "authored"]], Field(min_length=1)]
    pool_dir: str
    max_candidates: Positive
    max_characters: Positive
    M: Size
    criterion: Literal["MDP", "rand"]
    time_limit: Rate
    total_time_limit: Rate
    seed: Seed


class BuiltinEncoder(Section):
    layers: Annotated[int, Field(gt=0, le=1000)]
    hidden: Size
    heads: Size
    vocabulary: Annotated[int, Field(gt=0, le=10**6)]
    positions: Size
    chunk_length: Annotated[int, Field(ge=8, le=2**16)]
    steps: Positive
    batch_size: Positive
    learning_rate: Rate
    seed: Seed

    @model_validator(mode="after")
    def sizes_go_together(self) -> "BuiltinEncoder":
        if self.hidden % self.heads:
            raise ValueError(f"encoder.builtin.heads: {self.heads} must divide encoder.builtin.hidden, {self.hidden}")
        if self.chunk_length > self.positions:
            wrong = f"{self.chunk_length} is more than encoder.builtin.positions, {self.positions}"
            raise ValueError(f"encoder.builtin.chunk_length: {wrong}")
        return self


class Encoder(Section):
    source: str
    revision: str | None
    lowercase_documents: bool | None
    dropout: Share | None
    builtin: BuiltinEncoder


class Model(Section):
    type: Literal["CE", "CE_MSAM", "LE", "LE_MSAM", "CE_CLQ", "CE_MSAM_CLQ", "LE_CLQ", "LE_MSAM_CLQ"]
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
    keep_checkpoints: Positive
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
    delta: Rate
    batch_size: Positive
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
    k: Annotated[list[Positive], Field(min_length=1)]
    bootstrap: Annotated[int, Field(ge=0)]
    seed: Seed


class Explain(Section):
    documents: Annotated[int, Field(ge=0)]
    methods: Annotated[
        list[Literal["contribution", "attention", "input_x_gradient", "attention_x_input_x_gradient"]],
        Field(min_length=1),
    ]
    seed: Seed


class Compute(Section):
    device: Literal["auto", "cpu", "cuda"]
    precision: Literal["auto", "float32", "bf16"]
    threads: Annotated[int, Field(gt=0, le=256)]
    launch: str

    @model_validator(mode="after")
    def starts_processes(self) -> "Compute":
        if not any(f"{self.launch} ".startswith(f"{launcher} ") for launcher in LAUNCHERS):
            raise ValueError(f"compute.launch: {self.launch!r} begins with none of {', '.join(map(repr, LAUNCHERS))}")
        return self

    def of_a_process(self) -> dict[str, Any]:
        """The keys and values that each process computes with: all but how the processes are started."""
        return self.model_dump(exclude={"launch"})


class Params(Section):
    """params.yaml, section by section; what each key means stands there beside it."""

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
    explain: Explain
    compute: Compute

    @model_validator(mode="after")
    def pools_describe_the_corpus(self) -> "Params":
        coded_in = self.data.revision
        for name in self.synonyms.pools:
            if coded_in and (revision := POOL_REVISIONS.get(name, coded_in)) != coded_in:
                wrong = f"synonyms.pools: {name} describes {revision} codes"
                raise ValueError(f"{wrong}; data.format {self.data.format} is coded in {coded_in}")
        return self


def load(path: Path = paths.PARAMS) -> Params:
    """Read and check params.yaml. Raises InputError naming key, value and what would be right."""
    try:
        content = parse(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{path} does not exist; run from the repository's root") from None
    except UnicodeDecodeError:
        raise InputError(f"{path} is not UTF-8 text") from None
    except YAMLError as error:
        raise InputError(f"{path} is not valid YAML: {' '.join(str(error).split())}") from None
    return check(content, str(path))


def parse(text: str) -> Any:
    """The content of a YAML text; by YAML 1.2, where `2e-05`, as DVC writes it, is a number."""
    return YAML(typ="safe", pure=True).load(text)


def check(content: object, source: str) -> Params:
    """Check the content of a parameter file that came from `source`. Raises InputError."""
    try:
        return Params.model_validate(content)
    except ValidationError as error:
        raise InputError(f"{source}: " + "; ".join(_explain(item) for item in error.errors())) from None


def _explain(item: Mapping[str, Any]) -> str:
    """One problem that pydantic found, as `key: value ... what would be right`."""
    key = ".".join(str(step) for step in item["loc"] if step != "constrained-str")
    match item["type"]:
        case "extra_forbidden":
            known = _known_keys(item["loc"][:-1])
            return f"{key}: no such key; the keys here are {', '.join(known)}"
        case "missing":
            return f"{key}: is missing"
        case "literal_error":
            return f"{key}: {item['input']!r} is not one of {item['ctx']['expected']}"
        case "value_error":
            return str(item["ctx"]["error"])
        case _:
            wanted = item["msg"].removeprefix("Input should be ")
            return f"{key}: {item['input']!r} should be {wanted}"


def kind_of(key: tuple[str, ...]) -> Any:
    """The type of a parameter by its path, such as `str`; None where there is no such parameter."""
    kind: Any = Params
    for step in key:
        fields = getattr(kind, "model_fields", {})
        named = {field.alias or name: field for name, field in fields.items()}
        if step not in named:
            return None
        kind = named[step].annotation
    return kind


def _known_keys(section: tuple) -> list[str]:
    """The keys of a section, as they stand in the file."""
    model: Any = Params
    for step in section:
        model = model.model_fields[step].annotation
    return [field.alias or name for name, field in model.model_fields.items()]
