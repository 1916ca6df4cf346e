"""The accepted kinds of encoder and how they differ, one row each."""

import re
from dataclasses import dataclass
from pathlib import Path

from stages.common.io import InputError

BUILTIN = "builtin"  # encoder.source of the small encoder that is trained on the training split
HIDDEN, POSITIONS = 64, 512  # its sizes
HUB_NAME = re.compile(r"[A-Za-z0-9][\w.\-]*/[\w.\-]+")


@dataclass(frozen=True)
class Family:
    """What the rest of the package needs to know about a kind of encoder.

    first_row: the position table's row for a text's first token (RoBERTa counts from padding_idx + 1); None without a
    table. own_attention: keep the model's own attention, which handles full-length texts; otherwise we install ours
    (for LE the sliding window). by_name: the kind supports transformers' attention registry; otherwise its attention
    modules are replaced. stored_as: the kind it is converted to.
    """

    first_row: int | None = 0
    own_attention: bool = False
    by_name: bool = True
    stored_as: str | None = None

    def positions(self, table_rows: int) -> int:
        """How many tokens a position table of `table_rows` rows has room for."""
        return table_rows - (self.first_row or 0)


FAMILIES = {
    "bert": Family(),
    "megatron-bert": Family(by_name=False),
    "electra": Family(),
    "roberta": Family(first_row=2),
    "xlm-roberta": Family(first_row=2),
    "camembert": Family(first_row=2),
    "longformer": Family(first_row=2, stored_as="roberta"),
    "modernbert": Family(first_row=None, own_attention=True),
}
REFUSED = {"big_bird": " (its attention takes random and global blocks, which no model here has)"}


def folder_of(source: str) -> Path | None:
    """The folder named by `encoder.source`; None for the built-in encoder and models on the hub.

    Raises InputError for a path without a folder, so that a missing folder is never taken for a name on the hub.
    """
    folder = Path(source).expanduser()
    if source == BUILTIN:
        return None
    if source.strip() and folder.is_dir():
        return folder
    if Path(f"{source}.dvc").exists():
        remedy = f"`dvc checkout {source}.dvc` brings it"
        raise InputError(f"encoder.source: {source} is tracked by DVC and not here; {remedy}")
    if folder.exists() or not HUB_NAME.fullmatch(source):
        wanted = "give a model's folder, OWNER/NAME of one on the hub, or builtin"
        raise InputError(f"encoder.source: {source} is not a folder; {wanted}")
    return None


def family_of(model_type: str, where: str) -> Family:
    """The family of a `model_type`. Raises InputError if it is not accepted."""
    if model_type not in FAMILIES:
        wrong = f"{where} is a {model_type}{REFUSED.get(model_type, '')}"
        raise InputError(f"{wrong}; it must be one of {', '.join(FAMILIES)}")
    return FAMILIES[model_type]
