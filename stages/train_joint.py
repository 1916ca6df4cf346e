"""Go on training the classifier together with the quantifier (CLQ), each from where it ended on its own.

For other types there is nothing to do, and what is written says so.
"""

import logging

from stages.common import io, params, paths
from stages.common.runner import is_first_process, run

log = logging.getLogger("stages.train_joint")


def main() -> None:
    settings = params.load()
    if io.read_json(paths.JOINT)["joint"]:
        from stages.modeling.joint import train_both  # loads transformers, which takes seconds

        train_both(settings)
    elif is_first_process():
        with io.whole_directory(paths.JOINT_MODEL) as partial:
            io.write_json(partial / "joint.json", {"joint": False})
        log.info("not a CLQ model: nothing to train")


if __name__ == "__main__":
    run(main, memory="train.chunk_budget, or model.max_tokens and model.max_positions", launch=True)
