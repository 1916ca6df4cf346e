import pytest

from stages.common.io import InputError
from stages.encoder.architecture import Architecture

CE = {"encoder": "CE", "head": "plain", "padding": "masked", "dropout": 0.1, "chunk_length": 64, "max_tokens": 1024}
LE = {"encoder": "LE", "head": "plain", "padding": "masked", "dropout": 0.1, "window": 64, "max_positions": 1024}


@pytest.mark.parametrize("values", [CE, LE, {**CE, "head": "msam", "lowercase_documents": True}])
def test_dictionary_and_back(values):
    written = Architecture.parse(values).to_dict()
    assert {name: written[name] for name in values} == values
    assert Architecture.parse(written).to_dict() == written


@pytest.mark.parametrize(
    "values, message",
    [
        ({**CE, "encoder": "XE"}, "architecture: encoder: 'XE' is not one of 'CE' or 'LE'"),
        ({**CE, "chunk_length": 63}, "architecture: model.chunk_length: 63 is odd; it must be even"),
        ({**CE, "max_tokens": 64}, "architecture: model.max_tokens: 64 leaves no room for a chunk of 64 tokens"),
        ({**LE, "encoder": "CE"}, "architecture: model.chunk_length is missing; a model of type CE needs it"),
        ({**LE, "max_positions": 1000}, "architecture: model.max_positions: 1000 is no multiple of the window of 64"),
        ({**CE, "stride": 3}, "architecture: stride: no such key; the keys here are encoder, head"),
        ({"encoder": "CE", "head": "plain"}, "architecture: padding: is missing"),
        ([], "architecture: : [] should be "),
    ],
)
def test_refusals_say_what_would_be_right(values, message):
    with pytest.raises(InputError) as refusal:
        Architecture.parse(values)
    assert str(refusal.value).startswith(message)
