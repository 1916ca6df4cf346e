"""Pairs of a document and a (trained or open) code, with their features for the mix (METHOD.md, section 15).

Among them is the similarity of the text to the code's phrases: windows of words against phrases, by letters and by
embedding, which is the mean of the untrained encoder's states (it ranks open codes better than [CLS] on CodiEsp).
"""

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from sklearn.feature_extraction.text import TfidfVectorizer
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from stages.common import io, paths
from stages.encoder.encoder import AS_IT_IS, embeddings, load_encoder
from stages.encoder.tokenizer import load_tokenizer
from stages.modeling.data import Batch
from stages.modeling.heads import MsamHead
from stages.modeling.model import CodingModel
from stages.open_codes.mix import WINDOWS, Mix, stack
from stages.open_codes.phrases import kept_folder
from stages.synonyms import mdp, selection
from stages.synonyms.pools import Pool

OVERLAP = (8, 4)
PHRASES_AT_ONCE = 2**14
LEARNT_FROM = 5_000
CACHED = 5_000  # from this many phrases on, embeddings are cached
SHORTLIST = 2000  # open codes scored per document: those with the most similar phrases


def windows(text: str, size: int, step: int) -> list[str]:
    """Windows of `size` words, `step` words apart, that cover a text; at least one."""
    words = text.split()
    return [" ".join(words[start : start + size]) for start in range(0, max(1, len(words) - size + step), step)]


def unit(vectors: np.ndarray) -> np.ndarray:
    """Vectors (n, d) scaled to length 1, float32."""
    return (vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-12)).astype(np.float32)


class CodeIndex:
    """Codes, their phrases, and the phrases' embeddings `states` (P, 2, d) ([CLS] and mean), grouped by code."""

    def __init__(self, pool: Mapping[str, Sequence[str]], states: np.ndarray) -> None:
        self.pool = pool
        self.codes = list(pool)
        self.phrases = [phrase for code in self.codes for phrase in pool[code]]
        self.starts = np.cumsum([0, *(len(pool[code]) for code in self.codes)])
        self.states = states

    @cached_property
    def means(self) -> np.ndarray:
        return unit(self.states[:, 1])

    @cached_property
    def letters(self) -> TfidfVectorizer:
        """TF-IDF of 3- to 5-letter runs, fitted on the phrases or a sample of them."""
        vectorizer = TfidfVectorizer(analyzer="char_wb", ngram_range=(3, 5), sublinear_tf=True, dtype=np.float32)
        return vectorizer.fit(self.phrases[:: 1 + len(self.phrases) // LEARNT_FROM])

    def best(self, by_phrase: np.ndarray, codes: np.ndarray | None = None) -> np.ndarray:
        """The highest of the values (P,) of each code's phrases, (C,); with `codes`, only for their phrases."""
        sizes = np.diff(self.starts) if codes is None else np.diff(self.starts)[codes]
        return np.maximum.reduceat(by_phrase, np.cumsum([0, *sizes[:-1]]))

    def similarities(self, read: Sequence[np.ndarray]) -> np.ndarray:
        """The highest cosine of any window and any phrase of each code, per window size: (sizes, C)."""
        highest = np.empty((len(read), len(self.phrases)), np.float32)
        for start in range(0, len(self.phrases), PHRASES_AT_ONCE):
            part = slice(start, start + PHRASES_AT_ONCE)
            for kind, vectors in enumerate(read):
                highest[kind, part] = (self.means[part] @ vectors.T).max(axis=1)
        return np.stack([self.best(row) for row in highest])

    def overlaps(self, text: str, codes: np.ndarray) -> np.ndarray:
        """The highest letter-based cosine of any window of a text and any phrase of each of some codes."""
        pieces = self.letters.transform(windows(text, *OVERLAP))
        phrases = self.letters.transform([phrase for code in codes for phrase in self.pool[self.codes[code]]])
        return self.best((phrases @ pieces.T).max(axis=1).toarray().ravel(), codes)


def read_windows(
    text: str, encoder: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, device: torch.device | str
) -> list[np.ndarray]:
    """The unit embeddings (n, d) of a text's windows, per window size."""
    kinds = [windows(text, size, step) for size, step in WINDOWS]
    distinct = list(dict.fromkeys(piece for kind in kinds for piece in kind))
    vectors = unit(embeddings(encoder, tokenizer, distinct, device, silent=True)[:, 1].numpy())
    row = {piece: number for number, piece in enumerate(distinct)}
    return [vectors[[row[piece] for piece in kind]] for kind in kinds]


class Pairs(NamedTuple):
    """A document's pairs with some codes: their columns (K,) and features (K, F)."""

    codes: np.ndarray
    features: np.ndarray


class Choice(NamedTuple):
    """How the M synonyms of an open code are chosen, as for trained ones."""

    M: int
    criterion: str
    seed: int


@dataclass
class Scorer:
    """Scores of trained and open codes.

    index: of all codes, trained ones first in the order of the model's logits. counts (C,): training documents with
    each code. Open codes go through MSAM in separate calls, so trained codes' logits are bit-identical.
    """

    model: CodingModel
    index: CodeIndex
    counts: np.ndarray
    choice: Choice | None
    encoder_folder: Path
    device: torch.device
    vectors: dict[int, np.ndarray] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.untouched = load_encoder(self.encoder_folder, AS_IT_IS)[0]
        self.tokenizer = load_tokenizer(self.encoder_folder)
        self.n_trained = self.model.head.n_codes

    def pairs(self, text: str, batch: Batch, logits: np.ndarray) -> Pairs:
        """The pairs of a document, given its cleaned text, its rows and the logits (C,) of the trained codes."""
        read = read_windows(text, self.untouched, self.tokenizer, self.device)
        similar = self.index.similarities(read)
        ranked = np.argsort(-similar[:, self.n_trained :].sum(axis=0), kind="stable")
        codes = np.concatenate([np.arange(self.n_trained), np.sort(ranked[:SHORTLIST]) + self.n_trained])
        trained = codes < self.n_trained
        by_words = np.zeros(len(codes))
        if isinstance(self.model.head, MsamHead) and not trained.all():
            with torch.inference_mode():
                by_words[~trained] = self.model_of(codes[~trained].tolist())(batch.to(self.device))[0].cpu().numpy()
        rows = {
            "count": np.log(self.counts[codes] + 0.5),
            "trained": trained,
            "logit_trained": np.concatenate([logits, np.zeros(len(codes) - self.n_trained)]),
            "logit_open": by_words,
            "overlap": self.index.overlaps(text, codes),
        } | {f"similarity_{size}": row[codes] for (size, _), row in zip(WINDOWS, similar, strict=True)}
        return Pairs(codes, stack(rows, len(codes)))

    def model_of(self, codes: Sequence[int]) -> CodingModel:
        Q = torch.from_numpy(np.stack([self.synonym_vectors(code) for code in codes])).to(self.device)
        return self.model.for_synonyms(Q)

    def synonym_vectors(self, code: int) -> np.ndarray:
        """The [CLS] embeddings (M, d) of the M synonyms of a code."""
        if code not in self.vectors:
            states = self.index.states[self.index.starts[code] : self.index.starts[code + 1], 0].astype(np.float32)
            assert self.choice is not None, "only an MSAM head has synonyms"
            M, criterion, seed = self.choice
            if criterion == "MDP":
                chosen = selection.choose(mdp.cosine_distances(states), M).chosen
            else:
                chosen = selection.draw(len(states), M, seed, self.index.codes[code])
            self.vectors[code] = states[list(chosen)]
        return self.vectors[code]


def embed(pool: Pool, encoder_folder: Path, device: torch.device) -> CodeIndex:
    """The index of codes and phrases, embedded by the untrained encoder; large sets are cached."""
    phrases = sorted({phrase for listed in pool.values() for phrase in listed})
    key = hashlib.sha256("\n".join([io.digest(encoder_folder), *phrases]).encode()).hexdigest()[:16]
    kept = kept_folder() / f"{key}.npy"
    if len(phrases) >= CACHED and kept.exists():
        states = np.load(kept, mmap_mode="r")
    else:
        encoder, tokenizer = load_encoder(encoder_folder, AS_IT_IS)[0], load_tokenizer(encoder_folder)
        states = embeddings(encoder, tokenizer, phrases, device, name="phrases").numpy().astype(np.float16)
        if len(phrases) >= CACHED:
            kept.parent.mkdir(parents=True, exist_ok=True)
            with io.whole_file(kept) as partial, partial.open("wb") as file:
                np.save(file, states)
    row = {phrase: number for number, phrase in enumerate(phrases)}
    return CodeIndex(pool, states[[row[phrase] for listed in pool.values() for phrase in listed]])


def count(codes: Iterable[Sequence[str]], withheld: Sequence[str]) -> Counter[str]:
    """The number of training documents with each code, 0 for codes withheld from training."""
    counts = Counter(code for carried in codes for code in carried)
    for code in withheld:
        counts.pop(code, None)
    return counts


@dataclass(frozen=True)
class Fitted:
    """What the stage learned, and what else scoring open codes needs: models/open/mix.json.

    trained: the trained codes' phrases; counts: numbers of training documents of these and other codes.
    """

    mix: Mix
    choice: Choice | None
    trained: Pool
    counts: Mapping[str, int]

    def write(self, folder: Path) -> None:
        content = {"mix": asdict(self.mix), "choice": self.choice and self.choice._asdict(), "trained": self.trained}
        io.write_json(folder / paths.MIX, content | {"counts": self.counts}, digits=17)

    @classmethod
    def read(cls, folder: Path) -> "Fitted | None":
        """What `write` wrote; None if nothing was fitted."""
        if not (folder / paths.MIX).is_file() or not (content := io.read_json(folder / paths.MIX)):
            return None
        choice = Choice(**content["choice"]) if content["choice"] else None
        return cls(Mix(**content["mix"]), choice, content["trained"], content["counts"])


def scorer_of(
    model: CodingModel,
    trained: Pool,
    open_codes: Pool,
    counts: Mapping[str, int],
    choice: Choice | None,
    encoder_folder: Path,
) -> Scorer:
    """A scorer on the model's device. `trained`: in the order of its logits."""
    device = next(model.parameters()).device
    index = embed({**trained, **open_codes}, encoder_folder, device)
    return Scorer(model, index, np.array([counts.get(code, 0) for code in index.codes]), choice, encoder_folder, device)
