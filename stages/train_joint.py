"""Go on training the classifier together with the quantifier (CLQ); for other types there is nothing to do."""

import logging

from stages import files, paths
from stages.stage import first_process, run

log = logging.getLogger("stages.train_joint")


def main() -> None:
    if files.read_json(paths.JOINT)["joint"]:
        # Only here, for torch and transformers take seconds to import.
        from stages import joint_training

        joint_training.train_both()
        return
    if first_process():
        with files.whole_directory(paths.JOINT_MODEL) as partial:
            files.write_json(partial / "joint.json", {"joint": False})
    log.info("not a CLQ model: nothing to train")


if __name__ == "__main__":
    run(main)
