"""Which of the trained models counts: that of joint training where `model.type` asks for one, else the classifier's."""

from pathlib import Path

from stages.project import files, paths


def is_joint(root: Path = Path()) -> bool:
    """Whether the repository at `root` trains jointly; not, where nothing has been labelled yet."""
    return (root / paths.JOINT).exists() and files.read_json(root / paths.JOINT)["joint"]


def model_folder(root: Path = Path()) -> Path:
    """The folder of the model, relative to `root`."""
    return paths.JOINT_MODEL if is_joint(root) else paths.CLASSIFIER


def predictions_folder(root: Path = Path()) -> Path:
    """The folder of its predictions, relative to `root`."""
    return paths.JOINT_MODEL if is_joint(root) else paths.PREDICTIONS
