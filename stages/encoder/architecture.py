"""What a classifier is made of: encoder kind x head, with the sizes that belong to each."""

from dataclasses import asdict, dataclass, fields
from typing import Any, cast

from stages.project.errors import InputError

CHOICES = {
    "encoder": ("CE", "LE"),
    "head": ("plain", "msam"),
    "padding": ("masked", "original"),
    "initialisation": ("torch", "identity"),
}


UNREAD = cast(int, None)  # a size that another encoder kind or head would read


@dataclass(frozen=True)
class Architecture:
    """One of the paper's classifiers: CE or LE, plain or multi-synonym attention (MSAM).

    padding: "masked" keeps padding out of the attention over tokens and out of the maximum over chunks; "original" lets
    it take part, as the authors' program does. initialisation: of the query and key maps of an MSAM head, torch's own
    (the paper) or the identity. dropout: before the linear layers of a plain head. encoder_dropout: the encoder's own,
    None: as its configuration says.
    Raises InputError for a value that is not among the choices or a size that the encoder kind needs and lacks.
    """

    encoder: str
    head: str
    padding: str
    dropout: float
    heads: int = UNREAD
    chunk_length: int = UNREAD
    max_tokens: int = UNREAD
    window: int = UNREAD
    max_positions: int = UNREAD
    lowercase_documents: bool | None = False
    initialisation: str = "torch"
    encoder_dropout: float | None = None

    def __post_init__(self) -> None:
        for name, choices in CHOICES.items():
            if getattr(self, name) not in choices:
                raise InputError(f"architecture.{name}: {getattr(self, name)!r} is not one of {', '.join(choices)}")
        needed = {"CE": ("chunk_length", "max_tokens"), "LE": ("window", "max_positions")}[self.encoder]
        for name in (*needed, *(("heads",) if self.head == "msam" else ())):
            if getattr(self, name) is None:
                raise InputError(
                    f"architecture.{name}: is missing; a {self.encoder} model with {self.head} head needs it"
                )
        for name in ("chunk_length", "window"):
            if (getattr(self, name) or 0) % 2:
                raise InputError(f"architecture.{name}: {getattr(self, name)} is odd; it must be even")
        if self.encoder == "LE" and self.max_positions % self.window:
            wrong = f"{self.max_positions} is no multiple of the window of {self.window} tokens"
            raise InputError(f"architecture.max_positions: {wrong}; it must be one")
        if self.encoder == "CE" and self.max_tokens <= self.chunk_length:
            wrong = f"{self.max_tokens} leaves no room for a chunk of {self.chunk_length} tokens"
            raise InputError(f"architecture.max_tokens: {wrong}; it must be larger")

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "Architecture":
        """The architecture that `to_dict` (or labelize) wrote. Raises InputError for an unknown or missing key."""
        known = {field.name for field in fields(cls)}
        if unknown := sorted(set(values) - known):
            raise InputError(f"architecture: unknown {', '.join(unknown)}; the keys are {', '.join(sorted(known))}")
        if missing := sorted({"encoder", "head", "padding", "dropout"} - set(values)):
            raise InputError(f"architecture: {', '.join(missing)} missing")
        return cls(**values)

    def to_dict(self) -> dict[str, Any]:
        """All fields by name, as they stand in architecture.json."""
        return asdict(self)
