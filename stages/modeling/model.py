"""The classifier: an encoder over rows of tokens, a head that scores every code, the maximum over a document's rows.

H      = encoder(row)                        (T, d) for each chunk (CE) or for the whole text (LE);
                                             (1, d) for a plain head, which only reads [CLS]
s[c]   = head(H)[c]                          plain or MSAM, see heads.py and msam.py
logit  = max over the document's rows of s   (C,)
"""

import logging
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from stages.common import io
from stages.common.io import InputError
from stages.encoder.architecture import Architecture
from stages.encoder.attention import only_first_state
from stages.encoder.encoder import bare_encoder, cls_embeddings, load_encoder, token_states
from stages.encoder.tokenizer import load_tokenizer
from stages.encoder.weights import check_finite
from stages.modeling import side_by_side
from stages.modeling.data import Batch
from stages.modeling.heads import MsamHead, PlainHead, document_maximum

log = logging.getLogger(__name__)

ARCHITECTURE, WEIGHTS = "architecture.json", "model.safetensors"


class CodingModel(nn.Module):
    """Scores every code for every document.

    `tokenizer` has its default casing, for phrases; documents need
    `load_tokenizer(folder, architecture.lowercase_documents)`.
    """

    def __init__(
        self,
        architecture: Architecture,
        tokenizer: PreTrainedTokenizerBase,
        encoder: PreTrainedModel,
        head: PlainHead | MsamHead,
    ) -> None:
        super().__init__()
        self.architecture = architecture
        self.tokenizer = tokenizer
        self.encoder = encoder
        self.head = head
        if isinstance(head, PlainHead):
            only_first_state(encoder)

    def for_synonyms(self, Q: Tensor) -> "CodingModel":
        """The same model for other codes, in evaluation mode, without changing this one."""
        assert isinstance(self.head, MsamHead), "only an MSAM head scores codes by their synonyms"
        return CodingModel(self.architecture, self.tokenizer, self.encoder, self.head.for_synonyms(Q)).eval()

    def forward(self, batch: Batch) -> Tensor:
        """Logits (N, C), float32, of N documents, independent of what they are batched with."""
        n_parts = side_by_side.n_threads(self, batch.input_ids.device)
        if n_parts == 1 or len(batch.input_ids) == 1:
            logits = self.row_logits(batch)
        else:
            logits = side_by_side.in_threads(self.row_logits, batch.parts(n_parts), self.parameters())
        return document_maximum(logits, batch.document, batch.n_documents)

    def row_logits(self, batch: Batch) -> Tensor:
        """The scores of each row (R, C), float32."""
        H = token_states(self.encoder, batch.input_ids, batch.attention_mask, batch.groups)
        return self.head(H, self.visible_tokens(batch.attention_mask), batch.n_documents).float()

    def visible_tokens(self, attention_mask: Tensor) -> Tensor:
        """The tokens (R, T) an MSAM head attends to: the real ones and, with padding "original", a row's own padding.

        An original row is as long as a chunk, or the next multiple of the window; padding added by a batch is excluded.
        """
        if self.architecture.padding == "masked":
            return attention_mask.bool()
        if self.architecture.encoder == "CE":
            length = torch.full_like(attention_mask[:, 0], self.architecture.chunk_length)
        else:
            window = self.architecture.window
            length = (attention_mask.sum(1) + window - 1) // window * window
        return torch.arange(attention_mask.shape[1], device=length.device) < length[:, None]


def build_model(
    encoder_folder: Path,
    architecture: Architecture,
    n_codes: int,
    synonyms: list[list[str]] | None,
    device: torch.device | str = "cpu",
) -> CodingModel:
    """A new classifier on a pre-trained encoder, on the CPU, with new weights drawn from torch's global generator.

    synonyms: for an MSAM head, the phrases of each code in label order; their [CLS] embeddings are computed once, on
    `device` with the untrained encoder, and stay fixed. Raises InputError if the encoder does not suit the architecture
    or a code does not have M synonyms.
    """
    tokenizer = load_tokenizer(encoder_folder)
    encoder, pooler = load_encoder(encoder_folder, architecture)
    hidden = encoder.config.hidden_size
    if architecture.head == "msam":
        numbers = {len(phrases) for phrases in synonyms or ()}
        if synonyms is None or len(synonyms) != n_codes or len(numbers) != 1:
            raise InputError(
                f"synonyms: an MSAM head needs equally many for each of the {n_codes} codes; "
                f"{len(synonyms or ())} codes have {', '.join(map(str, sorted(numbers))) or 'none'}"
            )
        if hidden % (M := numbers.pop()):
            raise InputError(f"{encoder_folder}: synonyms.M: {M} does not divide {hidden}, the encoder's hidden size")
        Q = _synonym_vectors(encoder, tokenizer, synonyms, device)
        return CodingModel(architecture, tokenizer, encoder, _empty_head(architecture, Q, hidden, n_codes))
    head = _empty_head(architecture, None, hidden, n_codes)
    if architecture.encoder == "CE":
        # As in transformers' sequence classification model, which the authors use: its pooler and initialisation.
        nn.init.normal_(head.output.weight, std=encoder.config.initializer_range)
        nn.init.zeros_(head.output.bias)
        if pooler is None:
            log.info("%s: the encoder has no pooler; the head starts with a new one", encoder_folder)
        else:
            head.dense.load_state_dict(pooler.state_dict())
    return CodingModel(architecture, tokenizer, encoder, head)


def _synonym_vectors(
    encoder: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, synonyms: list[list[str]], device: torch.device | str
) -> Tensor:
    """Q (C, M, d): the [CLS] embedding of synonym m of code c."""
    distinct = sorted({phrase for phrases in synonyms for phrase in phrases})
    place = {phrase: index for index, phrase in enumerate(distinct)}
    embeddings = cls_embeddings(encoder, tokenizer, distinct, device)
    return embeddings[torch.tensor([[place[phrase] for phrase in phrases] for phrases in synonyms])]


def _empty_head(architecture: Architecture, Q: Tensor | None, hidden: int, n_codes: int) -> PlainHead | MsamHead:
    if architecture.head == "msam":
        return MsamHead(Q, architecture.initialisation)
    return PlainHead(hidden, n_codes, architecture.dropout, drop_states=architecture.encoder == "LE")


def save_model(model: CodingModel, folder: Path) -> None:
    """Write a model's architecture, weights, encoder configuration and tokenizer into an existing folder."""
    model.encoder.config.save_pretrained(folder)
    model.tokenizer.save_pretrained(folder)
    io.write_json(folder / ARCHITECTURE, model.architecture.to_dict())
    weights = {name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()}
    with io.whole_file(folder / WEIGHTS) as partial:
        save_file(weights, partial)


def load_model(folder: Path) -> CodingModel:
    """The model that `save_model` wrote, on the CPU in evaluation mode. Raises InputError if a file is missing."""
    architecture = Architecture.parse(io.read_json(folder / ARCHITECTURE))
    with io.named_damage(folder / WEIGHTS, "model"):
        weights = load_file(folder / WEIGHTS)
    if (scores := "head.Q" if architecture.head == "msam" else "head.output.weight") not in weights:
        raise InputError(f"{folder / WEIGHTS} has no {scores}: it is of another architecture; train or export again")
    encoder = bare_encoder(folder, architecture)
    Q = torch.empty_like(weights["head.Q"]) if architecture.head == "msam" else None
    n_codes = len(weights["head.output.weight"]) if Q is None else len(Q)
    with torch.random.fork_rng(devices=[]):
        head = _empty_head(architecture, Q, encoder.config.hidden_size, n_codes)
    model = CodingModel(architecture, load_tokenizer(folder), encoder, head)
    with io.named_damage(folder / WEIGHTS, "model of its architecture"):
        model.load_state_dict(weights)
    check_finite(model.state_dict(), folder)
    return model.eval()
