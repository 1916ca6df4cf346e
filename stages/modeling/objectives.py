"""What a pass of documents is trained on: the loss of each document, given its logits and targets."""

import torch
from torch import Tensor, nn
from torch.nn import functional


class BinaryCrossEntropy(nn.Module):
    """Binary cross-entropy with logits, mean over codes: the classifier's loss."""

    def forward(self, logits: Tensor, targets: Tensor) -> Tensor:
        """The loss of each document: logits and targets (n, C) -> (n,)."""
        return functional.binary_cross_entropy_with_logits(logits, targets, reduction="none").mean(dim=1)

    def begin_epoch(self, epoch: int) -> None:
        """Nothing is remembered from one pass to the next."""

    def state(self) -> Tensor:
        """What has to be kept to go on within an epoch: nothing."""
        return torch.zeros(0)

    def restore(self, state: Tensor) -> None:
        """Nothing to restore."""

    @torch.no_grad()
    def evaluate(self, logits: Tensor, targets: Tensor) -> Tensor:
        """The mean loss over the documents of an evaluated part."""
        return self(logits, targets).mean()
