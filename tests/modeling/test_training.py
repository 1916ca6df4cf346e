"""The training loop, on a model so small that its gradients are plain."""

import numpy as np
import scipy.sparse as sp
import torch
from torch import nn

from stages.modeling import devices, training
from stages.modeling.architecture import Architecture
from stages.modeling.batching import Documents
from stages.modeling.checkpoints import CheckpointFolder
from stages.modeling.chunking import SpecialIds
from stages.modeling.objectives import BinaryCrossEntropy
from stages.modeling.training import Criterion, Settings, Training, micro_f1

CODES = 3
WORDS = 20
SETTINGS = Settings(
    learning_rate=0.05,
    weight_decay=0.0,
    epochs=4,
    patience=4,
    batch_documents=4,
    chunk_budget=8,
    clip_norm=1.0,
    keep_checkpoints=2,
    compile=False,
    seed=7,
)


class WordAverage(nn.Module):
    """Scores codes by the mean embedding of a row's tokens, and takes the maximum over a document's rows."""

    def __init__(self, dropout: float = 0.0) -> None:
        super().__init__()
        self.words = nn.Embedding(WORDS, 8)
        self.score = nn.Linear(8, CODES)
        self.dropout = nn.Dropout(dropout)
        self.unused = nn.Linear(2, 2)

    def forward(self, input_ids, attention_mask, document, documents):
        mask = attention_mask[:, :, None]
        mean = (self.words(input_ids) * mask).sum(dim=1) / mask.sum(dim=1)
        logits = self.score(self.dropout(mean))
        return torch.stack([logits[document == index].amax(dim=0) for index in range(documents)])


def some_documents(count: int, seed: int) -> Documents:
    """Random documents whose code c is present when the word 5 + c occurs."""
    rng = np.random.default_rng(seed)
    texts = [rng.integers(3, WORDS, size=rng.integers(3, 30)) for _ in range(count)]
    targets = sp.csr_array(np.array([[int(5 + code in text) for code in range(CODES)] for text in texts], np.uint8))
    tokens = [np.concatenate([[1], text, [2]]).astype(np.int32) for text in texts]
    architecture = Architecture("CE", "plain", "masked", 0.0, chunk_length=8, max_tokens=64)
    ids = [f"{seed}-{number}" for number in range(count)]
    offsets = np.cumsum([0, *map(len, tokens)])
    return Documents.of(ids, np.concatenate(tokens), offsets, targets, architecture, SpecialIds(1, 2, 0))


def new_training(folder, dropout=0.0, **changes) -> Training:
    torch.manual_seed(0)
    settings = Settings(**{**vars(SETTINGS), **changes})
    return Training(
        WordAverage(dropout),
        BinaryCrossEntropy(),
        some_documents(26, seed=1),
        some_documents(10, seed=2),
        settings,
        Criterion("f1_micro", higher_is_better=True),
        lambda logits, targets: {"f1_micro": micro_f1(logits, targets)},
        devices.start("cpu", "float32", 1),
        CheckpointFolder(folder, settings.keep_checkpoints),
    )


def weights(run: Training) -> dict[str, torch.Tensor]:
    return {name: weight.clone() for name, weight in run.learner.state_dict().items()}


def assert_equal_weights(first: dict, second: dict) -> None:
    assert first.keys() == second.keys()
    for name in first:
        assert torch.equal(first[name], second[name]), name


def test_it_learns(tmp_path):
    run = new_training(tmp_path, epochs=60, patience=60)
    history = run.run()
    assert history[-1]["train_loss"] < 0.5 * history[0]["train_loss"]
    assert (
        micro_f1(
            training.predict(run.learner.model, run.train, 8, run.accelerator).numpy(), run.train.targets.toarray()
        )
        > 0.9
    )
