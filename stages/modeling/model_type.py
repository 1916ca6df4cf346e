"""What a `model.type` means, and which parameter takes effect for which model: the one home of that knowledge.

`labelize` builds from it what each later stage reads of a model's type, and the report tells by it which experiments
differ only in their seeds.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

from stages.common import params
from stages.encoder.architecture import Architecture
from stages.encoder.families import BUILTIN

TYPES: tuple[str, ...] = get_args(params.Model.model_fields["type"].annotation)


@dataclass(frozen=True)
class ModelType:
    """The parts of a model's type, whether its encoder is the built-in one, and whether anything has dropout."""

    encoder: Literal["CE", "LE"]  # chunks | Longformer's sliding window
    msam: bool  # a head of multi-synonym attention, not a plain one
    joint: bool  # classifier and quantifier are trained together (CLQ)
    builtin: bool = False
    dropout: bool = False

    @classmethod
    def parse(cls, name: str, encoder_source: str = "") -> "ModelType":
        """The model of a `model.type` and an `encoder.source`."""
        return cls(
            "LE" if name.startswith("LE") else "CE", "_MSAM" in name, name.endswith("_CLQ"), encoder_source == BUILTIN
        )

    @property
    def name(self) -> str:
        """The `model.type`."""
        return f"{self.encoder}{'_MSAM' * self.msam}{'_CLQ' * self.joint}"

    @property
    def head(self) -> Literal["msam", "plain"]:
        """The head's name in architecture.json."""
        return "msam" if self.msam else "plain"


def architecture_of(settings: params.Params) -> Architecture:
    """What train_classifier has to build, without what only another encoder or head would read.

    Raises InputError for sizes that do not go together.
    """
    model = ModelType.parse(settings.model.type, settings.encoder.source)
    sizes = settings.model.model_dump(exclude={"type"})
    return Architecture.parse(
        {
            "encoder": model.encoder,
            "head": model.head,
            "lowercase_documents": settings.encoder.lowercase_documents,
            "encoder_dropout": settings.encoder.dropout,
            **{key: value for key, value in sizes.items() if takes_effect(f"model.{key}", model)},
        }
    )


# A key, or the beginning of several -> whether it changes what a model learns or scores.
CONDITIONS = {
    "model.chunk_length": lambda model: model.encoder == "CE",
    "model.max_tokens": lambda model: model.encoder == "CE",
    "model.window": lambda model: model.encoder == "LE",
    "model.max_positions": lambda model: model.encoder == "LE",
    "model.dropout": lambda model: not model.msam,
    "model.initialisation": lambda model: model.msam,
    "train.output_learning_rate": lambda model: not model.msam,
    "synonyms.M": lambda model: model.msam,
    "synonyms.criterion": lambda model: model.msam,
    "synonyms.pool": lambda model: model.msam or model.builtin,  # the built-in encoder learns from the candidates
    "synonyms.max_candidates": lambda model: model.msam or model.builtin,
    "clq.": lambda model: model.joint,
    "compute.processes": lambda model: model.joint or model.dropout,  # each has its own groups, draws its own masks
    "train.chunk_budget": lambda model: model.dropout,  # masks are drawn per pass
    "synonyms.seed": lambda model: model.msam or model.builtin,
    "encoder.steps": lambda model: model.builtin,
    "encoder.revision": lambda model: not model.builtin,
}

# Decide where, how long or how fast something runs, not what it finds.
NEVER = (
    "baselines.",
    "compute.launch",
    "compute.portable",
    "compute.threads",
    "data.evidence_dir",
    "evaluate.bootstrap",
    "evaluate.seed",
    "explain.",
    "open.",
    "selective.",
    "synonyms.pool_dir",
    "synonyms.solver",
    "synonyms.time_limit",
    "train.compile",
)


def takes_effect(key: str, model: ModelType) -> bool:
    """Whether the parameter `key` (`section.name`) can change what is found with a model."""
    if key.startswith(NEVER):
        return False
    return all(condition(model) for beginning, condition in CONDITIONS.items() if key.startswith(beginning))


def effective(params: Mapping[str, Any]) -> dict[str, Any]:
    """Those of the flat parameters of an experiment (`section.name` -> value) that change what it finds."""
    model = ModelType.parse(str(params.get("model.type", "")), str(params.get("encoder.source", "")))
    rates = [params.get("encoder.dropout", 0), 0 if model.msam else params.get("model.dropout", 0)]
    model = replace(model, dropout=rates != [0, 0])  # null: the encoder's own, which may be any
    return {key: value for key, value in params.items() if takes_effect(key, model)}
