"""Published results on the same corpus, subset, split and convention: literature/*.yaml."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError, model_validator

from stages.common import outside
from stages.common.io import InputError
from tools.reporting.experiments import Experiment
from tools.reporting.metrics import METRICS

FOLDER = Path("literature")


class Block(BaseModel):
    """Rows of one source: model -> figures in percent, null if the source has none."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    format: str
    subset: str
    split: str
    convention: Literal["all", "present", "official", "bands", "plausibility"]
    source: str
    metrics: list[str]
    rows: dict[str, list[float | None]]

    @model_validator(mode="after")
    def figures_are_of_the_metrics(self) -> "Block":
        if unknown := [metric for metric in self.metrics if metric not in METRICS]:
            raise ValueError(f"unknown metrics: {', '.join(unknown)}")
        if any(len(figures) != len(self.metrics) for figures in self.rows.values()):
            raise ValueError(f"a row of {self.source} has more or fewer figures than metrics")
        return self

    def shares(self) -> Iterator[tuple[str, dict[str, float]]]:
        """Each model with its figures in the pipeline's units, not in percent."""
        for model, figures in self.rows.items():
            known = [pair for pair in zip(self.metrics, figures, strict=True) if pair[1] is not None]
            yield model, {metric: figure / METRICS[metric].factor for metric, figure in known}  # type: ignore[operator]


def blocks_beside(experiment: Experiment, convention: str) -> list[Block]:
    """The blocks comparable with an experiment in a convention; none for synthetic records.

    Raises InputError for a malformed file.
    """
    if experiment.synthetic:
        return []
    blocks: list[Block] = []
    for path in sorted(FOLDER.glob("*.yaml")):
        try:
            blocks += TypeAdapter(list[Block]).validate_python(outside.parse_yaml(outside.read_text(path), path) or [])
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"]))
            raise InputError(f"{path}: {where}: {first['msg']}; see literature/published.yaml") from None
    asked: dict[str, Any] = {key: experiment.params.get(f"data.{key}") for key in ("format", "subset", "split")}
    asked["convention"] = convention
    return [block for block in blocks if all(getattr(block, key) == value for key, value in asked.items())]
