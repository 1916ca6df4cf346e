"""Predict the validation and test documents with the trained classifier."""

from stages.common import devices, io, params, paths
from stages.common.runner import run
from stages.modeling.inference import predict_parts
from stages.modeling.model import load_model
from stages.modeling.predictions import write_predictions


def main() -> None:
    settings = params.load()
    accelerator = devices.start(settings.compute)
    model = load_model(paths.CLASSIFIER).to(accelerator.device)
    predictions = predict_parts(model, paths.CLASSIFIER, settings.train.chunk_budget, accelerator)
    if accelerator.is_main_process:
        with io.whole_directory(paths.PREDICTIONS) as partial:
            write_predictions(partial, predictions)
    devices.finish(accelerator)


if __name__ == "__main__":
    run(main, memory="train.chunk_budget, or model.max_tokens and model.max_positions", launch=True)
