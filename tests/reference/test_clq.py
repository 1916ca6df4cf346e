"""Joint classification and quantification equals the authors' program, values and gradients."""

import numpy as np
import pytest
import torch

from stages.modeling.clq import GroupSums, JointLoss
from stages.modeling.training import BinaryCrossEntropy
from stages.quantification.quantifiers import PrevalenceMLP

RELATIVE = 1e-5
WEIGHTS = {
    "hidden.weight": "head_layer.weight",
    "hidden.bias": "head_layer.bias",
    "output.weight": "final_layer.weight",
    "output.bias": "final_layer.bias",
}


@pytest.fixture(scope="module")
def case(reference) -> dict[str, np.ndarray]:
    return dict(np.load(reference / "clq" / "joint_loss_30docs.npz"))


@pytest.fixture
def joint(case, monkeypatch) -> JointLoss:
    """The loss with the case's quantifier, and groups of the case's sizes."""
    hidden, codes = case["mlp.head_layer.weight"].shape
    quantifier = PrevalenceMLP(codes, hidden)
    quantifier.load_state_dict({ours: torch.from_numpy(case[f"mlp.{theirs}"]) for ours, theirs in WEIGHTS.items()})
    sizes = case["group_sizes"]
    monkeypatch.setattr(GroupSums, "draw_size", lambda groups: int(sizes[min(groups.group, len(sizes) - 1)]))
    groups = GroupSums(len(case["logits"]), codes, seed=0)
    return JointLoss(quantifier, groups, float(case["quant_lambda"]), float(case["huber_delta"]))


@pytest.mark.parametrize("together", [1, 2, 7, 30])
def test_losses_and_gradients(case, joint, together):
    """However many documents a pass holds, each has the loss and the gradient that it has alone."""
    logits = torch.from_numpy(case["logits"]).requires_grad_()
    targets = torch.from_numpy(case["labels"]).float()
    losses = []
    for rows in torch.arange(len(logits)).split(together):
        loss = joint(logits[rows], targets[rows])
        loss.sum().backward()
        losses.append(loss.detach())
    np.testing.assert_allclose(torch.cat(losses), case["total"], rtol=RELATIVE)
    for array, expected in [
        (logits.grad, case["grad_logits"]),
        *(
            (joint.quantifier.get_parameter(ours).grad, case[f"grad_mlp_sum.{theirs}"])
            for ours, theirs in WEIGHTS.items()
        ),
    ]:
        np.testing.assert_allclose(array, expected, atol=1e-4 * np.abs(expected).max(), rtol=0)


def test_gradient_of_the_last_document_alone(case, joint):
    logits, targets = torch.from_numpy(case["logits"]), torch.from_numpy(case["labels"]).float()
    joint(logits[:-1], targets[:-1])
    joint(logits[-1:], targets[-1:]).sum().backward()
    for ours, theirs in WEIGHTS.items():
        expected = case[f"grad_mlp_last.{theirs}"]
        gradient = joint.quantifier.get_parameter(ours).grad
        np.testing.assert_allclose(gradient, expected, atol=1e-4 * np.abs(expected).max(), rtol=0)


def test_parts_of_the_loss(case, joint):
    logits, targets = torch.from_numpy(case["logits"]), torch.from_numpy(case["labels"]).float()
    np.testing.assert_allclose(BinaryCrossEntropy()(logits, targets), case["cls_loss"], rtol=RELATIVE)
    means, prevalences = joint.groups.add(torch.sigmoid(logits), targets)
    np.testing.assert_allclose(means, case["pred_prev"], rtol=RELATIVE)
    np.testing.assert_allclose(prevalences, case["true_prev"], rtol=RELATIVE)
    np.testing.assert_allclose(joint.quantifier(means).detach(), case["quant_out"], rtol=RELATIVE)


def test_groups_end_where_theirs_do(case, joint):
    logits, targets = torch.from_numpy(case["logits"]), torch.from_numpy(case["labels"]).float()
    for row, (size, seen, reset) in enumerate(
        zip(case["group_size"], case["n_seen"], case["reset_after"], strict=True)
    ):
        assert joint.groups.size == size
        assert joint.groups.seen == seen - 1
        joint(logits[row : row + 1], targets[row : row + 1])
        assert (joint.groups.seen == 0) == reset


def test_evaluation_is_one_group(reference, case, joint):
    """In an evaluation the groups grows over the whole part, whatever the group size."""
    expected = np.load(reference / "clq" / "evaluation_memory_30docs.npz")
    logits, targets = torch.from_numpy(case["logits"]), torch.from_numpy(case["labels"]).float()
    assert joint.evaluate(logits, targets).item() == pytest.approx(expected["total"].mean(), rel=RELATIVE)
    assert joint.groups.seen == 0


def test_counts_within_a_pass(reference):
    """Documents of one pass count one after the other."""
    expected = np.load(reference / "clq" / "memory_batch3.npz")
    targets = torch.from_numpy(expected["labels"]).float()
    passes, together = expected["batch_counter"].shape[:2]
    groups = GroupSums(len(targets), targets.shape[1], seed=0)
    groups.size = len(targets) + 1
    for number, rows in enumerate(torch.arange(len(targets)).split(together)):
        before = groups.seen
        _, prevalences = groups.add(torch.zeros_like(targets[rows]), targets[rows])
        np.testing.assert_array_equal(np.arange(before + 1, groups.seen + 1), expected["batch_counter"][number].ravel())
        np.testing.assert_allclose(prevalences, expected["true_prev"][number], rtol=RELATIVE)
    assert number == passes - 1
