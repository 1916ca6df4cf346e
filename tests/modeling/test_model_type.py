import pytest

from stages.common import params
from stages.common.io import InputError
from stages.modeling.model_type import architecture_of


def architecture(kind: str, M: int = 4, **changes: object) -> dict:
    settings = params.load()
    model = settings.model.model_copy(update={"type": kind, **changes})
    synonyms = settings.synonyms.model_copy(update={"M": M})
    return architecture_of(settings.model_copy(update={"model": model, "synonyms": synonyms})).to_dict()


def test_architecture_holds_what_the_type_reads_and_nothing_else():
    built = architecture("CE_MSAM")
    assert (built["encoder"], built["head"]) == ("CE", "msam")
    assert built["heads"] == 4
    assert built["window"] is None
    assert built["chunk_length"] == params.load().model.chunk_length
    assert architecture("CE_MSAM_CLQ") == built
    assert architecture("CE_MSAM", window=128, max_positions=4096, dropout=0.3) == built
    plain = architecture("LE")
    assert (plain["heads"], plain["chunk_length"], plain["max_tokens"]) == (None, None, None)
    assert architecture("LE_CLQ", M=2, chunk_length=32) == plain
    assert architecture("CE") != architecture("LE")


@pytest.mark.parametrize(
    ("kind", "change"),
    [("CE", {"chunk_length": 33}), ("CE", {"max_tokens": 20}), ("LE", {"window": 63}), ("LE", {"max_positions": 1000})],
)
def test_sizes_that_do_not_go_together_are_refused(kind: str, change: dict):
    with pytest.raises(InputError, match=next(iter(change))):
        architecture(kind, **change)
