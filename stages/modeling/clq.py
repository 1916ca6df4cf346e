"""Joint classification and quantification (CLQ): the classifier's loss plus the quantifier's on a growing group.

The training documents come in groups of random size. Within a group, sums run over the documents seen so far: of
their probabilities p and of their labels y. The k-th document of a group adds to its classification loss

    lambda * Huber_delta( MLP(sum p / k), sum y / k )       mean over codes,

where only its own p carries gradient (the paper's section on joint learning).

The documents of a pass are added one after the other, exactly as if each came alone: a cumulative sum gives each its
own totals. Under data parallelism each process has its own groups over the documents it sees.
"""

import random

import torch
from torch import Tensor, nn
from torch.nn import functional

from stages.modeling.training import BinaryCrossEntropy


class GroupSums:
    """One process's sums over the documents seen so far in the current group.

    Group sizes are uniform in [1, `n_documents`] and depend only on (seed, process, epoch, number of the group).
    """

    def __init__(self, n_documents: int, n_codes: int, seed: int, process: int = 0) -> None:
        self.n_documents = n_documents
        self.seed = seed
        self.process = process
        self.sums = torch.zeros(2, n_codes)  # of probabilities and of labels
        self.begin_epoch(0)

    def begin_epoch(self, epoch: int) -> None:
        """Drop the unfinished group and draw the epoch's first one."""
        self.epoch = epoch
        self.group = -1
        self.begin_group()

    def begin_group(self) -> None:
        self.group += 1
        self.seen = 0
        self.sums = torch.zeros_like(self.sums)
        self.size = self.draw_size()

    def draw_size(self) -> int:
        return random.Random(f"{self.seed}/{self.process}/{self.epoch}/{self.group}").randint(1, self.n_documents)

    def add(self, probabilities: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Add documents one after the other; the group's mean probability and prevalence after each.

        Arguments and results are (n, C); a mean's gradient only flows to the document's own probability.
        """
        pairs: list[tuple[Tensor, Tensor]] = []
        start = 0
        while start < len(probabilities):
            taken = slice(start, start + self.size - self.seen)
            pairs.append(self._add_to_group(probabilities[taken], targets[taken]))
            start += len(pairs[-1][0])
            if self.seen >= self.size:
                self.begin_group()
        means, prevalences = zip(*pairs, strict=True)
        return torch.cat(means), torch.cat(prevalences)

    def _add_to_group(self, probabilities: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        n_seen = torch.arange(self.seen + 1, self.seen + len(probabilities) + 1, device=probabilities.device)
        self.sums = self.sums.to(probabilities.device)
        with torch.no_grad():
            added = torch.stack([probabilities, targets])
            running = torch.cumsum(torch.cat([self.sums[:, None], added], dim=1), dim=1)  # (2, n + 1, C)
            self.sums = running[:, -1]
            self.seen += len(probabilities)
        earlier, running = running[0, :-1], running[:, 1:]
        return (earlier + probabilities) / n_seen[:, None], running[1] / n_seen[:, None]

    def state(self) -> Tensor:
        """The whole state as one vector (2 C + 3,), for checkpoints."""
        position = torch.tensor([self.epoch, self.group, self.seen], dtype=torch.float64)
        return torch.cat([position, self.sums.flatten().double().cpu()])

    def restore(self, state: Tensor) -> None:
        self.epoch, self.group, self.seen = (int(value) for value in state[:3])
        self.sums = state[3:].reshape(2, -1).float()
        self.size = self.draw_size()


class JointLoss(BinaryCrossEntropy):
    """The CLQ loss: binary cross-entropy + `weight` x Huber of the group's prevalences, both means over codes.

    `quantifier` maps mean probabilities to prevalences, (n, C) -> (n, C), and is trained with the classifier.
    `keep_sums`: start the first evaluation from the sums left by training, as in the authors' program.
    """

    def __init__(
        self, quantifier: nn.Module, groups: GroupSums, weight: float, delta: float, keep_sums: bool = False
    ) -> None:
        super().__init__()
        self.quantifier = quantifier
        self.groups = groups
        self.weight = weight
        self.delta = delta
        self.keep_sums = keep_sums

    def forward(self, logits: Tensor, targets: Tensor) -> Tensor:
        """The loss of each document, in the order of the group: (n, C), (n, C) -> (n,)."""
        return self._loss(logits, targets, self.groups)

    def _loss(self, logits: Tensor, targets: Tensor, groups: GroupSums) -> Tensor:
        means, prevalences = groups.add(torch.sigmoid(logits), targets)
        huber = functional.huber_loss(self.quantifier(means), prevalences, reduction="none", delta=self.delta)
        return super().forward(logits, targets) + self.weight * huber.mean(dim=1)

    def begin_epoch(self, epoch: int) -> None:
        self.groups.begin_epoch(epoch)

    def state(self) -> Tensor:
        return self.groups.state()

    def restore(self, state: Tensor) -> None:
        self.groups.restore(state)

    @torch.no_grad()
    def evaluate(self, logits: Tensor, targets: Tensor) -> Tensor:
        """The mean loss over an evaluated part, which is a single group."""
        part = GroupSums(len(logits), logits.shape[1], self.groups.seed)
        part.size = part.seen + len(logits) + 1
        if self.keep_sums and self.groups.epoch == 0:
            part.sums, part.seen = self.groups.sums, self.groups.seen
            part.size += part.seen
        return self._loss(logits, targets, part).mean()
