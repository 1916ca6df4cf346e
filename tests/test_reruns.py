"""What reruns when: each row of the table in docs/OPERATING.md, under DVC."""

import pytest

from tests.project import AFTER_TRAINING, TRAINING, Project

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(
    ("before", "change", "expected"),
    [
        ((), ("synonyms.M=2",), {"select_synonyms"} | TRAINING),
        (("model.type=CE",), ("synonyms.criterion=rand",), {"select_synonyms", "labelize"}),
        ((), ("model.type=CE_MSAM_CLQ",), {"labelize", "train_joint", "evaluate", "score_open", "explain"}),
        (("model.type=CE",), ("model.type=LE",), TRAINING),
        ((), ("clq.lambda=50",), {"train_joint"}),
        ((), ("quantifier.seed=1",), {"train_quantifier", "train_joint", "evaluate"}),
        ((), ("evaluate.bins=10",), {"evaluate", "score_open"}),
        ((), ("evaluate.bootstrap=7",), {"baselines", "evaluate", "score_open", "explain"}),
        ((), ("explain.documents=3",), {"explain"}),
        ((), ("selective.recall=0.9",), {"evaluate"}),
        ((), ("model.window=32",), {"labelize"}),
        ((), ("compute.launch=torchrun --standalone --nproc-per-node 1",), set()),
        ((), ("train.warmup=0.1",), {"train_classifier"} | AFTER_TRAINING),
        (("model.type=CE_CLQ",), ("quantifier.test_samples=30",), {"evaluate"}),
    ],
    ids=lambda case: "+".join(case) if isinstance(case, tuple) else "",
)
def test_only_what_is_affected_reruns(base: Project, before: tuple, change: tuple, expected: set):
    """And the state of before comes back without a run (`base`)."""
    if before:
        base.configure(*before)
        base.repro()
    changed = {key.partition("=")[0] for key in change}
    base.configure(*(setting for setting in before if setting.partition("=")[0] not in changed), *change)
    assert base.repro("--no-run-cache") == expected
