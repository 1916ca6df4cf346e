"""Which parameter takes effect for which model: the one home of that knowledge.

`labelize` builds from it what each later stage reads of a model's type, and the report tells by it which experiments
differ only in their seeds.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

TYPES = ("CE", "CE_MSAM", "CE_CLQ", "CE_MSAM_CLQ", "LE", "LE_MSAM", "LE_CLQ", "LE_MSAM_CLQ")


@dataclass(frozen=True)
class Model:
    """What the parts of a model's type mean, and where its encoder comes from."""

    encoder: str  # CE (chunks) | LE (Longformer's sliding window)
    msam: bool  # a head of multi-synonym attention, not a plain one
    joint: bool  # classifier and quantifier are trained together (CLQ)
    builtin: bool  # the encoder is the built-in one

    @classmethod
    def of(cls, type_: str, encoder_source: str) -> "Model":
        """The model of a `model.type` and an `encoder.source`."""
        return cls(type_[:2], "_MSAM" in type_, type_.endswith("_CLQ"), encoder_source == "builtin")

    @property
    def head(self) -> str:
        """The head's name in architecture.json."""
        return "msam" if self.msam else "plain"


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
    "synonyms.max_": lambda model: model.msam or model.builtin,
    "clq.": lambda model: model.joint,
    "compute.launch": lambda model: model.joint,  # each process has its own groups
    "encoder.builtin.": lambda model: model.builtin,
    "encoder.revision": lambda model: not model.builtin,
}

# Decide where, how long or how fast something runs, not what it finds.
NEVER = (
    "baselines.",
    "compute.threads",
    "data.evidence_dir",
    "evaluate.bootstrap",
    "explain.",
    "synonyms.time_limit",
    "synonyms.total_time_limit",
    "train.chunk_budget",
    "train.compile",
    "train.keep_checkpoints",
)


def takes_effect(key: str, model: Model) -> bool:
    """Whether the parameter `key` (`section.name`) can change what is found with a model."""
    if key.startswith(NEVER):
        return False
    return all(condition(model) for beginning, condition in CONDITIONS.items() if key.startswith(beginning))


def effective(params: Mapping[str, Any]) -> dict[str, Any]:
    """Those of the flat parameters of an experiment (`section.name` -> value) that change what it finds."""
    model = Model.of(str(params.get("model.type", "")), str(params.get("encoder.source", "")))
    return {key: value for key, value in params.items() if takes_effect(key, model)}
