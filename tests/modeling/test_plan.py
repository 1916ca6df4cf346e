"""The plan of a GPU's step, traced without content, has the operations of a real one."""

import dataclasses

import pytest

from benchmarks import measuring, plan

SHAPE = measuring.encoder_config(measuring.BertConfig, 90, 16, 2, 2)
SMALL = dataclasses.replace(
    measuring.SIZES["demo"],
    shortest=60,
    longest=120,
    config=measuring.encoder_config(measuring.BertConfig, 90, 16, 2, 2),
)


@pytest.mark.parametrize("model_type", ["CE", "CE_MSAM", "LE_MSAM"])
def test_a_traced_step_has_the_operations_of_a_real_one(model_type):
    """And asks the device for nothing: a tensor without content has no answer."""
    traced = plan.traced(SMALL, model_type, 7, 8, plan.DEVICES["h100"], training=True, gpu=False)
    real = plan.measured(SMALL, model_type, 7, 8)
    assert traced["operations"] == real["operations"] > 0
    assert traced["documents"] == SMALL.batch_documents
    assert traced["seconds"] >= traced["operations"] / plan.DEVICES["h100"].operations


@pytest.mark.parametrize("training", [True, False])
def test_the_gpus_form_can_be_traced(training):
    traced = plan.traced(SMALL, "CE_MSAM", 7, 8, plan.DEVICES["h200"], training, gpu=True)
    assert traced["peak"] > 0
    assert traced["bytes"] > 0
