import pytest

from stages.common import params
from stages.modeling.model_type import TYPES, ModelType, architecture_of, takes_effect


def architecture(kind: str, M: int = 4, **changes: object) -> dict:
    settings = params.load()
    model = settings.model.model_copy(update={"type": kind, **changes})
    synonyms = settings.synonyms.model_copy(update={"M": M})
    return architecture_of(settings.model_copy(update={"model": model, "synonyms": synonyms})).to_dict()


def test_architecture_holds_what_the_type_reads_and_nothing_else():
    built = architecture("CE_MSAM")
    assert (built["encoder"], built["head"]) == ("CE", "msam")
    assert "window" not in built
    assert built["chunk_length"] == params.load().model.chunk_length
    assert architecture("CE_MSAM_CLQ") == built
    assert architecture("CE_MSAM", window=128, max_positions=4096, dropout=0.3) == built
    plain = architecture("LE")
    assert not {"chunk_length", "max_tokens"} & set(plain)
    assert architecture("LE_CLQ", M=2, chunk_length=32) == plain
    assert architecture("CE") != architecture("LE")


@pytest.mark.parametrize("name", TYPES)
def test_a_types_parts_make_its_name(name: str):
    assert ModelType.parse(name).name == name


def test_what_takes_effect():
    plain = ModelType.parse("CE", "builtin")
    assert takes_effect("encoder.steps", plain)
    assert not takes_effect("synonyms.M", plain)
    assert not takes_effect("model.window", plain)
    assert takes_effect("synonyms.M", ModelType.parse("LE_MSAM"))
    assert not takes_effect("clq.seed", ModelType.parse("LE_MSAM"))
