"""The small built-in encoder: a BERT whose tokenizer and weights come from the training split only.

Randomly initialised, a BERT this small gives every phrase nearly the same `[CLS]` vector, so attention from label
embeddings cannot tell codes apart. The pre-training here makes `[CLS]` predict the words of its text and pulls the
synonyms of a code together.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from tokenizers import normalizers, pre_tokenizers
from torch import Tensor, nn
from transformers import BertConfig, BertModel, BertTokenizerFast, PreTrainedTokenizerBase

from stages.common.io import InputError
from stages.common.runner import progress_bar
from stages.encoder.families import HIDDEN, POSITIONS

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
ASCII = [chr(code) for code in range(33, 127)]
MASKED = 0.15  # share of tokens that the masked-word loss predicts
TEMPERATURE = 0.1  # of the synonym contrast
INITIAL_STD = 0.1
POSITION_STD = 0.01


@dataclass(frozen=True)
class Recipe:
    layers: int = 2
    hidden: int = HIDDEN
    heads: int = 4
    vocabulary: int = 4000
    positions: int = POSITIONS
    chunk_length: int = 32  # tokens of a training chunk including [CLS] and [SEP], as the demo's model.chunk_length
    steps: int = 600
    batch_size: int = 32  # chunks per step, and synonym pairs per step
    learning_rate: float = 1e-2
    seed: int = 888


def count_words(texts: Sequence[str], lowercase: bool) -> Counter[str]:
    """How often each word (as split by BERT's pre-tokenizer) occurs in `texts`."""
    normalizer = normalizers.BertNormalizer(lowercase=lowercase)
    splitter = pre_tokenizers.BertPreTokenizer()
    counts: Counter[str] = Counter()
    for text in texts:
        counts.update(word for word, _ in splitter.pre_tokenize_str(normalizer.normalize_str(text)))
    return counts


def build_vocabulary(counts: Mapping[str, int], size: int) -> list[str]:
    """A WordPiece vocabulary from word counts, independent of their order.

    It holds the special tokens; all ASCII and all observed characters, both word-initial and word-internal, so that no
    ASCII text is unknown; and the most frequent words. Characters come first and may exceed a small `size`; words that
    do not fit are read character by character.
    """
    characters = sorted({character for word in counts for character in word}.union(ASCII))
    vocabulary = [*SPECIAL, *characters, *("##" + character for character in characters)]
    words = sorted((word for word in counts if len(word) > 1), key=lambda word: (-counts[word], word))
    return vocabulary + words[: max(0, size - len(vocabulary))]


def build_tokenizer(vocabulary: Sequence[str], n_positions: int, lowercase: bool = True) -> BertTokenizerFast:
    ids = {token: index for index, token in enumerate(vocabulary)}
    return BertTokenizerFast(vocab=ids, do_lower_case=lowercase, model_max_length=n_positions)


def new_encoder(recipe: Recipe, vocabulary: int) -> BertModel:
    """A randomly initialised BERT of the given size, drawn from torch's generator.

    Position embeddings start small and the pooler as the identity. There is no dropout: on attention weights it more
    than doubles the time of a CPU step, and a model this small underfits anyway.
    """
    config = BertConfig(
        vocab_size=vocabulary,
        hidden_size=recipe.hidden,
        num_hidden_layers=recipe.layers,
        num_attention_heads=recipe.heads,
        intermediate_size=2 * recipe.hidden,
        max_position_embeddings=recipe.positions,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
        initializer_range=INITIAL_STD,
    )
    encoder = BertModel(config)
    nn.init.normal_(encoder.embeddings.position_embeddings.weight, std=POSITION_STD)
    nn.init.eye_(encoder.pooler.dense.weight)
    return encoder


class WordPrediction(nn.Module):
    """Predicts words from a state: a linear map, then the (tied) word embeddings, plus a bias per word."""

    def __init__(self, words: nn.Embedding) -> None:
        super().__init__()
        self.words = words
        self.transform = nn.Linear(words.embedding_dim, words.embedding_dim)
        nn.init.eye_(self.transform.weight)
        nn.init.zeros_(self.transform.bias)
        self.bias = nn.Parameter(torch.zeros(words.num_embeddings))

    def forward(self, states: Tensor) -> Tensor:
        """States (..., d) -> logits (..., words)."""
        return self.transform(states) @ self.words.weight.T + self.bias


def bag_of_words_loss(logits: Tensor, tokens: Tensor, weights: Tensor) -> Tensor:
    """Cross-entropy of a text's distinct words, each weighted by `weights`; mean over texts.

    Args:
        logits: (B, words), predicted from `[CLS]`.
        tokens: (B, T) ids of the text.
        weights: (words,) inverse document frequencies; 0 for special tokens and words found everywhere.
    """
    bag = torch.zeros_like(logits).scatter_(1, tokens, 1.0) * weights
    share = bag / bag.sum(dim=1, keepdim=True).clamp_min(1e-6)
    return -(share * logits.log_softmax(dim=1)).sum(dim=1).mean()


def masked_word_loss(logits: Tensor, tokens: Tensor) -> Tensor:
    """Cross-entropy of n masked words from logits (n, words); mean over them, 0 where there are none."""
    return F.cross_entropy(logits, tokens, reduction="sum") / max(1, len(tokens))


def synonym_contrast_loss(first: Tensor, second: Tensor) -> Tensor:
    """Symmetric InfoNCE: rows i of `first` and `second`, (P, d), are synonyms of one code; no other rows are."""
    similarity = F.normalize(first, dim=1) @ F.normalize(second, dim=1).T / TEMPERATURE
    matching = torch.arange(len(similarity), device=similarity.device)
    return (F.cross_entropy(similarity, matching) + F.cross_entropy(similarity.T, matching)) / 2


class Chunks:
    """Random windows of tokenised documents, each between `[CLS]` and `[SEP]`."""

    def __init__(self, documents: Sequence[Sequence[int]], length: int, tokenizer: PreTrainedTokenizerBase) -> None:
        """`documents`: non-empty lists of token ids without special tokens; `length`: of a chunk, with special ones."""
        self.tokens = np.concatenate([np.asarray(document, dtype=np.int64) for document in documents])
        self.lengths = np.array([len(document) for document in documents])
        self.starts = np.cumsum(self.lengths) - self.lengths
        self.window = length - 2
        self.cls, self.sep, self.pad = tokenizer.cls_token_id, tokenizer.sep_token_id, tokenizer.pad_token_id

    def sample(self, count: int, rng: np.random.Generator) -> Tensor:
        """`count` chunks, (count, length), padded at the end; documents are drawn in proportion to their length."""
        documents = rng.choice(len(self.lengths), size=count, p=self.lengths / self.lengths.sum())
        room = np.maximum(self.lengths[documents] - self.window, 0)
        starts = self.starts[documents] + rng.integers(0, room + 1)
        chunks = np.full((count, self.window + 2), self.pad)
        chunks[:, 0] = self.cls
        for row, (start, length) in enumerate(
            zip(starts, np.minimum(self.lengths[documents], self.window), strict=True)
        ):
            chunks[row, 1 : length + 1] = self.tokens[start : start + length]
            chunks[row, length + 1] = self.sep
        return torch.from_numpy(chunks)

    def inverse_document_frequencies(self, vocabulary: int) -> Tensor:
        """log(documents / documents with the token), (vocabulary,); 0 for tokens that do not occur."""
        rows = np.repeat(np.arange(len(self.lengths)), self.lengths)
        seen = np.unique(rows * vocabulary + self.tokens) % vocabulary
        frequency = np.bincount(seen, minlength=vocabulary)
        weights = np.log(len(self.lengths) / np.maximum(frequency, 1)) * (frequency > 0)
        return torch.from_numpy(weights).float()


class SynonymPairs:
    """Random pairs of two different phrases of one code."""

    def __init__(self, synonyms: Mapping[str, Sequence[str]], length: int, tokenizer: PreTrainedTokenizerBase) -> None:
        """Codes with fewer than two phrases give no pair; phrases are truncated to `length` tokens."""
        groups = [phrases for _, phrases in sorted(synonyms.items()) if len(phrases) > 1]
        phrases = [phrase for group in groups for phrase in group]
        self.tokens = torch.zeros(0, 0, dtype=torch.long)
        if phrases:
            encoded = tokenizer(phrases, truncation=True, max_length=length, padding=True, return_tensors="pt")
            self.tokens = encoded["input_ids"]
        self.sizes = np.array([len(group) for group in groups], dtype=np.int64)
        self.starts = np.cumsum(self.sizes) - self.sizes

    def __len__(self) -> int:
        return len(self.sizes)

    def sample(self, count: int, rng: np.random.Generator) -> Tensor:
        """Pairs from at most `count` different codes: all first phrases, then all second ones, (2 pairs, T)."""
        codes = rng.permutation(len(self.sizes))[:count]
        first = rng.integers(0, self.sizes[codes])
        second = (first + rng.integers(1, self.sizes[codes])) % self.sizes[codes]
        return self.tokens[torch.from_numpy(np.concatenate([self.starts[codes] + first, self.starts[codes] + second]))]


def word_tokens(tokenizer: PreTrainedTokenizerBase) -> Tensor:
    """Which tokens contain a letter, (vocabulary,) bool; there is nothing to learn from a note's dates and numbers."""
    tokens = tokenizer.convert_ids_to_tokens(range(len(tokenizer)))
    special = set(tokenizer.all_special_tokens)
    return torch.tensor([token not in special and any(map(str.isalpha, token)) for token in tokens])


def mask_words(tokens: Tensor, words: Tensor, mask: int, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """BERT's masking: of the chosen words, 80 % become `mask`, 10 % another word, and 10 % stay.

    Only tokens marked in `words` (vocabulary,) are chosen. Returns the masked tokens (B, T) and the positions to
    predict (B, T, bool).
    """
    chance, change = (torch.from_numpy(rng.random(tokens.shape)) for _ in range(2))
    chosen = (chance < MASKED) & words[tokens]
    candidates = words.nonzero()[:, 0]
    others = candidates[torch.from_numpy(rng.integers(0, len(candidates), tokens.shape))]
    masked = torch.where(chosen & (change < 0.8), mask, tokens)
    return torch.where(chosen & (change >= 0.9), others, masked), chosen


def pretrain(
    encoder: BertModel,
    tokenizer: PreTrainedTokenizerBase,
    documents: Sequence[Sequence[int]],
    synonyms: Mapping[str, Sequence[str]],
    recipe: Recipe,
) -> None:
    """Train `encoder` in place on the sum of three losses.

    (1) `[CLS]` predicts the bag of words of its chunk, weighted by inverse document frequency; (2) masked words are
    predicted; (3) the `[CLS]` vectors of two synonyms of one code are pulled together, away from other codes'.
    The learning rate rises over the first tenth of the steps and then falls linearly to 0. All randomness derives
    from `recipe.seed`.
    """
    rng = np.random.default_rng(recipe.seed)
    chunks = Chunks(documents, recipe.chunk_length, tokenizer)
    pairs = SynonymPairs(synonyms, recipe.chunk_length, tokenizer)
    words = word_tokens(tokenizer)
    weights = chunks.inverse_document_frequencies(len(tokenizer)) * words
    summary, cloze = (WordPrediction(encoder.embeddings.word_embeddings) for _ in range(2))
    modules = nn.ModuleList([encoder, summary, cloze])
    trained = [weight for name, weight in modules.named_parameters() if ".pooler." not in name]
    # Fused, because AdamW otherwise uses oneMKL's square root, whose last bits differ between makes of processor.
    optimizer = torch.optim.AdamW(trained, lr=recipe.learning_rate, weight_decay=0.01, fused=True)
    warm = max(1, recipe.steps // 10)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: min((step + 1) / warm, (recipe.steps - step) / max(1, recipe.steps - warm))
    )
    encoder.train()
    bar = progress_bar(range(recipe.steps), desc="pre-training the encoder", unit="step")
    for step in bar:
        tokens = chunks.sample(recipe.batch_size, rng)
        masked, chosen = mask_words(tokens, words, tokenizer.mask_token_id, rng)
        states = encoder(masked, attention_mask=tokens != tokenizer.pad_token_id).last_hidden_state
        loss = bag_of_words_loss(summary(states[:, 0]), tokens, weights)
        loss = loss + masked_word_loss(cloze(states[chosen]), tokens[chosen])
        if len(pairs) > 1:
            phrases = pairs.sample(recipe.batch_size, rng)
            vectors = encoder(phrases, attention_mask=phrases != tokenizer.pad_token_id).last_hidden_state[:, 0]
            loss = loss + synonym_contrast_loss(*vectors.chunk(2))
            loss = loss + bag_of_words_loss(summary(vectors), phrases, weights)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(trained, 1.0)
        optimizer.step()
        schedule.step()
        if step % 50 == 0:
            bar.set_postfix(loss=f"{loss.item():.3f}")
    encoder.eval()


def train_builtin_encoder(
    documents: Sequence[str], synonyms: Mapping[str, Sequence[str]], recipe: Recipe, lowercase_documents: bool | None
) -> tuple[BertModel, BertTokenizerFast]:
    """A tokenizer and a pre-trained encoder from the training documents and the synonyms of the codes.

    The vocabulary counts documents in the case in which they will be read, and phrases in lower case. The result is
    bit-identical for equal arguments and number of threads; torch's global generator is left untouched.

    Raises InputError if no document has a word.
    """
    lowercase = lowercase_documents is not False  # null: as for phrases
    counts = count_words(documents, lowercase)
    if not any(map(str.isalpha, "".join(counts))):
        raise InputError("no training document has a word; the built-in encoder needs text to learn from")
    counts.update(count_words([phrase for _, phrases in sorted(synonyms.items()) for phrase in phrases], True))
    vocabulary = build_vocabulary(counts, recipe.vocabulary)
    tokenizer = build_tokenizer(vocabulary, recipe.positions)
    reader = build_tokenizer(vocabulary, recipe.positions, lowercase)
    encoded = reader(list(documents), add_special_tokens=False, verbose=False)["input_ids"]
    encoded = [document for document in encoded if document]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed)
        encoder = new_encoder(recipe, len(tokenizer))
        pretrain(encoder, tokenizer, encoded, synonyms, recipe)
    return encoder, tokenizer
