"""The group sums and the joint loss, beside what the reference cases already show."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from stages.modeling.clq import GroupSums, JointLoss
from stages.modeling.training import BinaryCrossEntropy


def sums(n_documents: int = 10, seed: int = 0, process: int = 0) -> GroupSums:
    return GroupSums(n_documents, 2, seed, process)


def test_by_hand():
    """Two documents in a group of two, then one in the next."""
    groups = sums()
    groups.size = 2
    probabilities = torch.tensor([[0.5, 0.0], [0.1, 1.0], [0.3, 0.3]])
    targets = torch.tensor([[1.0, 0.0], [0.0, 0.0], [1.0, 1.0]])
    means, prevalences = groups.add(probabilities, targets)
    torch.testing.assert_close(means, torch.tensor([[0.5, 0.0], [0.3, 0.5], [0.3, 0.3]]))
    torch.testing.assert_close(prevalences, torch.tensor([[1.0, 0.0], [0.5, 0.0], [1.0, 1.0]]))


def test_loss_by_hand():
    """One document, probability 1/2, label 1, a quantifier that says what it hears: BCE log 2, Huber 0.5^2 / 2."""
    loss = JointLoss(nn.Identity(), GroupSums(5, 1, 0), weight=8.0, delta=0.5)
    result = loss(torch.zeros(1, 1), torch.ones(1, 1))
    assert result.item() == pytest.approx(math.log(2) + 8 * 0.125)


def test_sizes_follow_from_seed_process_and_epoch():
    def sizes(**arguments) -> list[int]:
        groups = sums(10**6, **arguments)
        result = []
        for _ in range(3):
            result.append(groups.size)
            groups.begin_group()
        return result

    assert sizes() == sizes()
    assert sizes() != sizes(seed=1)
    assert sizes() != sizes(process=1)
    groups = sums(10**6)
    groups.begin_epoch(1)
    assert groups.size != sizes()[0]


def test_an_epoch_drops_the_unfinished_group():
    groups = sums(10**6)
    groups.add(torch.ones(3, 2), torch.ones(3, 2))
    groups.begin_epoch(1)
    assert groups.seen == 0
    assert groups.sums.tolist() == [[0, 0], [0, 0]]


@given(st.lists(st.integers(1, 5), min_size=1, max_size=6), st.integers(0, 100))
def test_going_on_from_a_state(passes, seed):
    """After its state is restored a group gives what it would have given without."""
    generator = torch.Generator().manual_seed(seed)
    undisturbed = sums(7, seed)
    undisturbed.begin_epoch(2)
    for size in passes:
        resumed = sums(7, seed)
        resumed.restore(undisturbed.state())
        probabilities, targets = torch.rand(2, size, 2, generator=generator)
        for result, expected in zip(
            resumed.add(probabilities, targets), undisturbed.add(probabilities, targets), strict=True
        ):
            assert torch.equal(result, expected)


@pytest.mark.parametrize(("keep_sums", "epoch", "leaks"), [(False, 0, False), (True, 0, True), (True, 1, False)])
def test_what_training_leaves_to_an_evaluation(keep_sums, epoch, leaks):
    """Only as in the authors' program do the sums of training reach the first evaluation, and no other."""
    logits, targets = torch.tensor([[0.0, 2.0]]), torch.tensor([[1.0, 0.0]])
    loss = JointLoss(nn.Identity(), sums(10**6), weight=1.0, delta=0.5, keep_sums=keep_sums)
    loss.begin_epoch(epoch)
    alone = loss.evaluate(logits, targets)
    loss(torch.full((4, 2), 3.0), torch.zeros(4, 2))
    assert (loss.evaluate(logits, targets) != alone) == leaks
    assert loss.groups.seen == 4
    if leaks:
        assert loss.evaluate(logits, targets) == loss(logits, targets)


def test_binary_cross_entropy_by_hand():
    logits = torch.tensor([[0.0, 0.0], [math.log(3), 0.0]])
    targets = torch.tensor([[1.0, 0.0], [1.0, 0.0]])
    loss = BinaryCrossEntropy()
    torch.testing.assert_close(loss(logits, targets), torch.tensor([math.log(2), (math.log(4 / 3) + math.log(2)) / 2]))
    assert loss.evaluate(logits, targets) == loss(logits, targets).mean()
    assert loss.state().numel() == 0
