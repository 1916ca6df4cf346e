"""The architecture of a classifier: encoder kind x head, with the sizes of each."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, model_validator

from stages.common.params import Share, Tokens, validate


class Architecture(BaseModel):
    """One of the paper's classifiers: CE or LE, plain or multi-synonym attention (MSAM).

    padding: "masked" excludes padding from the attention over tokens and the maximum over chunks; "original" includes
    it, as the authors' program does. initialisation: of an MSAM head's query and key maps, torch's default (the paper)
    or the identity. dropout: before the linear layers of a plain head. encoder_dropout: the encoder's own; None: as in
    its configuration. Sizes that only the other encoder kind reads are None.
    """

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    encoder: Literal["CE", "LE"]
    head: Literal["plain", "msam"]
    padding: Literal["masked", "original"]
    dropout: Share = 0.0
    chunk_length: Tokens = None  # type: ignore[assignment]
    max_tokens: Tokens = None  # type: ignore[assignment]
    window: int = None  # type: ignore[assignment]
    max_positions: Tokens = None  # type: ignore[assignment]
    initialisation: Literal["torch", "identity"] = "torch"
    lowercase_documents: bool | None = None
    encoder_dropout: Share | None = None

    @classmethod
    def parse(cls, values: object) -> "Architecture":
        """The architecture that labelize wrote. Raises InputError if it is invalid."""
        return validate(cls, values, "architecture")

    def to_dict(self) -> dict[str, Any]:
        return self.model_dump(exclude_none=True)

    @model_validator(mode="after")
    def sizes_go_together(self) -> "Architecture":
        for name in {"CE": ("chunk_length", "max_tokens"), "LE": ("window", "max_positions")}[self.encoder]:
            if getattr(self, name) is None:
                raise ValueError(f"model.{name} is missing; a model of type {self.encoder} needs it")
        for name in ("chunk_length", "window"):
            if (getattr(self, name) or 0) % 2:
                raise ValueError(f"model.{name}: {getattr(self, name)} is odd; it must be even")
        if self.encoder == "LE" and self.max_positions % self.window:
            wrong = f"{self.max_positions} is no multiple of the window of {self.window} tokens"
            raise ValueError(f"model.max_positions: {wrong}; it must be one")
        if self.encoder == "CE" and self.max_tokens <= self.chunk_length:
            wrong = f"{self.max_tokens} leaves no room for a chunk of {self.chunk_length} tokens"
            raise ValueError(f"model.max_tokens: {wrong}; it must be larger")
        return self
