"""Experiments for the report: their settings, their figures, and which of them share a row."""

import itertools
import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from stages.common import paths
from stages.corpus.corpora import CORPORA, title_of
from stages.modeling.model_type import TYPES, ModelType, effective

log = logging.getLogger(__name__)

CRITERIA = ("", "rand", "MDP")
SEEDED = ("synonyms.", "encoder.", "train.", "clq.", "quantifier.")


def flat(nested: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """A nested mapping flattened to dotted keys; lists are kept."""
    items: dict[str, Any] = {}
    for key, value in nested.items():
        if isinstance(value, Mapping):
            items |= flat(value, f"{prefix}{key}.")
        else:
            items[f"{prefix}{key}"] = value
    return items


@dataclass(frozen=True)
class Experiment:
    name: str
    params: dict[str, Any]  # flat: `model.type`, `synonyms.M`, ...
    metrics: dict[str, Any]  # flat, the file's stem first: `classification.test.f1_micro`, ...
    plots: dict[str, pd.DataFrame] = field(default_factory=dict, compare=False)

    @property
    def type(self) -> str:
        return str(self.params.get("model.type", ""))

    @property
    def model(self) -> ModelType:
        return ModelType.parse(self.type, str(self.params.get("encoder.source", "")))

    @property
    def format(self) -> str:
        return str(self.params.get("data.format"))

    @property
    def corpus(self) -> tuple:
        """The parameters that determine the documents; different corpora are not compared."""
        subset = (
            CORPORA[self.format].subsets.get(str(self.params.get("data.subset"))) if self.format in CORPORA else None
        )
        fixed = self.format.startswith("mimic") and subset and (subset.fixed is not None or subset.rare)
        without_effect = {
            "data.evidence_dir": True,
            "data.published_dir": True,
            "data.notes_dir": not self.format.startswith("mimic4"),
            "data.seed": self.params.get("data.split", "stratified") != "stratified",
            "data.min_documents": fixed,
        }
        sections = ("data.", "demo.") if self.synthetic else ("data.",)
        decisive = (key for key in self.params if key.startswith(sections) and not without_effect.get(key))
        return tuple(sorted((key, str(self.params[key])) for key in decisive))

    @property
    def corpus_title(self) -> str:
        return title_of(self.format, str(self.params.get("data.subset")), self.synthetic)

    @property
    def synthetic(self) -> bool:
        return Path(str(self.params.get("data.raw_dir"))) == paths.DEMO

    def decisive(self) -> dict[str, Any]:
        """The parameters that this experiment's figures depend on, other than seeds and the corpus."""
        known = {key: value for key, value in effective(self.params).items() if not key.startswith(("data.", "demo."))}
        return {key: value for key, value in known.items() if not _is_seed(key)}

    @property
    def seeds(self) -> tuple:
        """The seeds that take effect; runs of a setting that share them count as one run."""
        return tuple(sorted((key, value) for key, value in effective(self.params).items() if _is_seed(key)))


def _is_seed(key: str) -> bool:
    return key.startswith(SEEDED) and key.endswith(".seed")


@dataclass(frozen=True)
class Setting:
    """Runs that differ only in seeds, one per combination of seeds: a row of a table."""

    type: str
    criterion: str  # "" without MSAM
    M: int | None  # None without MSAM
    other: str  # other settings that differ between experiments: `train.epochs=20, ...`
    experiments: tuple[Experiment, ...]

    @property
    def model(self) -> ModelType:
        return ModelType.parse(self.type)

    @property
    def label(self) -> str:
        synonyms = f" {self.criterion} {self.M}" if self.M else ""
        return f"{self.type}{synonyms}" + (f" ({self.other})" if self.other else "")

    def values(self, key: str) -> np.ndarray:
        values = [experiment.metrics.get(key) for experiment in self.experiments]
        return np.array([value for value in values if isinstance(value, int | float)], dtype=float)


def comparable(first: Setting, second: Setting) -> list[tuple[Experiment, Experiment]]:
    """Pairs of runs with equal seeds from both settings; if there are none, the pair that differs in the fewest."""

    def differing(pair: tuple[Experiment, Experiment]) -> int:
        first, second = (dict(run.seeds) for run in pair)
        return sum(first[key] != second[key] for key in first.keys() & second.keys())

    pairs = list(itertools.product(first.experiments, second.experiments))
    return [pair for pair in pairs if not differing(pair)] or [min(pairs, key=differing)]


def corpora(experiments: Iterable[Experiment]) -> list[list[Experiment]]:
    groups: dict[tuple, list[Experiment]] = {}
    for experiment in experiments:
        groups.setdefault(experiment.corpus, []).append(experiment)
    return list(groups.values())


def settings_of(experiments: Iterable[Experiment]) -> list[Setting]:
    """The rows for experiments of one corpus, sorted by type, criterion and M.

    Among runs with equal seeds the last one counts.
    """
    groups: dict[tuple, list[Experiment]] = {}
    for experiment in experiments:
        identity = tuple(sorted((key, repr(value)) for key, value in experiment.decisive().items()))
        groups.setdefault(identity, []).append(experiment)
    values: dict[str, set[str]] = {}
    for identity in groups:
        for key, value in identity:
            values.setdefault(key, set()).add(value)
    varying = {key for key, seen in values.items() if len(seen) > 1}
    varying -= {"model.type", "synonyms.M", "synonyms.criterion"}

    settings = []
    for identity, group in groups.items():
        runs = {experiment.seeds: experiment for experiment in group}
        for experiment in group:
            if (kept := runs[experiment.seeds]) is not experiment:
                log.info("%s has the settings and seeds of %s and is left out", experiment.name, kept.name)
        first = group[0]
        settings.append(
            Setting(
                type=first.type,
                criterion=str(first.params.get("synonyms.criterion", "")) if first.model.msam else "",
                M=first.params.get("synonyms.M") if first.model.msam else None,
                other=", ".join(f"{key}={value}" for key, value in identity if key in varying),
                experiments=tuple(run for _, run in sorted(runs.items(), key=lambda item: repr(item[0]))),
            )
        )
    return sorted(_disambiguate(settings), key=_order)


def _disambiguate(settings: list[Setting]) -> list[Setting]:
    """The settings with unique labels, naming keys that only one version of params.yaml has."""
    apart = []
    for setting in settings:
        decisive = setting.experiments[0].decisive()
        alike = [other.experiments[0].decisive() for other in settings if other.label == setting.label]
        keys = sorted({key for other in alike for key in other.keys() ^ decisive.keys()})
        more = (f"{key}={decisive[key]}" if key in decisive else f"without {key}" for key in keys)
        apart.append(replace(setting, other=", ".join(filter(None, [setting.other, *more]))))
    return apart


def _order(setting: Setting) -> tuple:
    type_ = TYPES.index(setting.type) if setting.type in TYPES else len(TYPES)
    criterion = CRITERIA.index(setting.criterion) if setting.criterion in CRITERIA else len(CRITERIA)
    return type_, setting.type, criterion, setting.M or 0, setting.other


def main_settings(settings: Iterable[Setting]) -> list[Setting]:
    """The rows of the main comparison: all types, with the synonym setting that most MSAM types were run with.

    Ties go to the larger M, then to MDP.
    """
    settings = list(settings)
    types: dict[tuple, set[str]] = {}
    for setting in settings:
        if setting.M:
            types.setdefault((setting.M, CRITERIA.index(setting.criterion), setting.criterion), set()).add(setting.type)
    if not types:
        return settings
    chosen = max(types, key=lambda synonyms: (len(types[synonyms]), *synonyms))
    elsewhere = {setting.type for setting in settings} - types[chosen]
    return [
        setting
        for setting in settings
        if not setting.M or (setting.M, setting.criterion) == (chosen[0], chosen[2]) or setting.type in elsewhere
    ]


def contrasts(settings: Iterable[Setting]) -> list[tuple[str, Setting, Setting]]:
    """The paper's questions: (question, with, without), pairs of rows that differ in one respect.

    MSAM against a plain head, CLQ against its own classifier, sliding window (LE) against chunks (CE), MDP against
    rand, M against the next smaller M.
    """
    settings = list(settings)
    in_main = set(map(id, main_settings(settings)))
    larger: dict[tuple, set[int]] = {}
    for setting in settings:
        larger.setdefault((setting.type, setting.criterion, setting.other), set()).add(setting.M or 0)
    pairs = []
    for first, second in itertools.product(settings, settings):
        if first.other != second.other:
            continue
        a, b = first.model, second.model
        same_synonyms = (first.criterion, first.M) == (second.criterion, second.M)
        same_type = first.type == second.type and first.M is not None
        if a == replace(b, msam=False) != b and id(second) in in_main:
            pairs.append(("MSAM", second, first))
        if b == replace(a, joint=True) != a and same_synonyms:
            pairs.append(("CLQ", second, first))
        if b == replace(a, encoder="LE") != a and same_synonyms:
            pairs.append(("sliding window", second, first))
        if same_type and first.M == second.M and (first.criterion, second.criterion) == ("rand", "MDP"):
            pairs.append(("MDP", second, first))
        if same_type and first.criterion == second.criterion:
            M_above = (M for M in larger[first.type, first.criterion, first.other] if (first.M or 0) < M)
            if min(M_above, default=None) == second.M:
                pairs.append(("M", second, first))
    order = ("MSAM", "CLQ", "sliding window", "MDP", "M")
    return sorted(pairs, key=lambda pair: order.index(pair[0]))
