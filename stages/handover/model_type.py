"""What `model.type` means to the stages after labelize."""

from typing import Any

from stages.encoder.architecture import Architecture
from stages.project import effects
from stages.project.params import Params


def model_of(settings: Params) -> effects.Model:
    """The parts of the model that the parameters ask for."""
    return effects.Model.of(settings.model.type, settings.encoder.source)


def architecture_of(settings: Params) -> Architecture:
    """What train_classifier has to build, without what only another encoder or head would read.

    M is both the number of synonyms per code and the number of MSAM's heads. Raises InputError for sizes that do not go
    together.
    """
    model = model_of(settings)
    read: dict[str, Any] = {
        key: value
        for key, value in settings.model.model_dump(exclude={"type"}).items()
        if effects.takes_effect(f"model.{key}", model)
    }
    if model.msam:
        read |= {"heads": settings.synonyms.M, "dropout": 0.0}
    read |= {"lowercase_documents": settings.encoder.lowercase_documents, "encoder_dropout": settings.encoder.dropout}
    return Architecture(model.encoder, model.head, **read)
