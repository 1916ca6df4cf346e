"""Go on training the classifier together with the quantifier (CLQ); other types leave an empty result."""

import logging

from stages import files, paths
from stages.stage import run

log = logging.getLogger("stages.train_joint")


def main() -> None:
    if not files.read_json(paths.JOINT)["joint"]:
        with files.whole_directory(paths.JOINT_MODEL) as partial:
            files.write_json(partial / "joint.json", {"joint": False})
        log.info("not a CLQ model: nothing to train")
        return


if __name__ == "__main__":
    run(main)
