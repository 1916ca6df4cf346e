"""The meaning of `model.type`, and which parameters take effect for which model.

`labelize` derives from it what later stages need to know of the type, and the report which experiments differ only in
their seeds.
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
    """A parsed model type, with whether the encoder is the built-in one and whether there is any dropout."""

    encoder: Literal["CE", "LE"]  # chunks | Longformer's sliding window
    msam: bool  # multi-synonym attention instead of a plain head
    joint: bool  # classifier and quantifier are trained jointly (CLQ)
    builtin: bool = False
    dropout: bool = False

    @classmethod
    def parse(cls, name: str, encoder_source: str = "") -> "ModelType":
        return cls(
            "LE" if name.startswith("LE") else "CE", "_MSAM" in name, name.endswith("_CLQ"), encoder_source == BUILTIN
        )

    @property
    def name(self) -> str:
        return f"{self.encoder}{'_MSAM' * self.msam}{'_CLQ' * self.joint}"

    @property
    def head(self) -> Literal["msam", "plain"]:
        return "msam" if self.msam else "plain"


def architecture_of(settings: params.Params) -> Architecture:
    """The architecture for train_classifier, without the sizes that only other encoders or heads read.

    Raises InputError for sizes that do not fit together.
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


# A key, or the prefix of several -> whether it affects what a model learns or scores.
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
    "synonyms.pool": lambda model: model.msam or model.builtin,  # the built-in encoder is trained on the candidates
    "synonyms.max_candidates": lambda model: model.msam or model.builtin,
    "clq.": lambda model: model.joint,
    "compute.processes": lambda model: model.joint or model.dropout,  # each has its own groups and dropout masks
    "train.chunk_budget": lambda model: model.dropout,  # masks are drawn per pass
    "synonyms.seed": lambda model: model.msam or model.builtin,
    "encoder.steps": lambda model: model.builtin,
    "encoder.revision": lambda model: not model.builtin,
}

# These affect where and how fast something runs, not its results.
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
    """Whether the parameter `key` (`section.name`) can change a model's results."""
    if key.startswith(NEVER):
        return False
    return all(condition(model) for beginning, condition in CONDITIONS.items() if key.startswith(beginning))


def effective(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The flat parameters of an experiment (`section.name` -> value) that affect its results."""
    model = ModelType.parse(str(settings.get("model.type", "")), str(settings.get("encoder.source", "")))
    rates = [settings.get("encoder.dropout", 0), 0 if model.msam else settings.get("model.dropout", 0)]
    model = replace(model, dropout=rates != [0, 0])  # null means the encoder's own rate, which is unknown here
    return {key: value for key, value in settings.items() if takes_effect(key, model)}
