import pytest

from stages.common.io import InputError
from stages.encoder.architecture import Architecture

CE = {"encoder": "CE", "head": "plain", "padding": "masked", "dropout": 0.1, "chunk_length": 64, "max_tokens": 1024}
LE = {"encoder": "LE", "head": "plain", "padding": "masked", "dropout": 0.1, "window": 64, "max_positions": 1024}


@pytest.mark.parametrize("values", [CE, LE, {**CE, "head": "msam", "heads": 4, "lowercase_documents": True}])
def test_dictionary_and_back(values):
    written = Architecture.from_dict(values).to_dict()
    assert {name: written[name] for name in values} == values
    assert Architecture.from_dict(written).to_dict() == written


@pytest.mark.parametrize(
    "values, message",
    [
        ({**CE, "encoder": "XE"}, "architecture.encoder: 'XE' is not one of CE, LE"),
        ({**CE, "head": "msam"}, "architecture.heads: is missing; a CE model with msam head needs it"),
        ({**CE, "chunk_length": None}, "architecture.chunk_length: is missing; a CE model with plain head needs it"),
        ({**CE, "chunk_length": 63}, "architecture.chunk_length: 63 is odd; it must be even"),
        ({**CE, "max_tokens": 64}, "architecture.max_tokens: 64 leaves no room for a chunk of 64 tokens"),
        ({**LE, "window": None}, "architecture.window: is missing; a LE model with plain head needs it"),
        ({**LE, "max_positions": 1000}, "architecture.max_positions: 1000 is no multiple of the window of 64 tokens"),
        ({**CE, "stride": 3}, "architecture: unknown stride; the keys are chunk_length"),
        ({"encoder": "CE", "head": "plain"}, "architecture: dropout, padding missing"),
    ],
)
def test_refusals_say_what_would_be_right(values, message):
    with pytest.raises(InputError) as refusal:
        Architecture.from_dict(values)
    assert str(refusal.value).startswith(message)
