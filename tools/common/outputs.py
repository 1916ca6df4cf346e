"""What a tool may write: outputs are refused before any work if something would be lost."""

from collections.abc import Collection, Sequence
from pathlib import Path

from stages.common.io import InputError


def check_files(outputs: Sequence[Path], inputs: Sequence[Path] = ()) -> None:
    """Raise InputError for an output that is also an input or another output, or a folder or device."""
    taken = {path.resolve(): "is an input and would be overwritten" for path in inputs}
    for path in outputs:
        target = path.resolve()
        if target in taken:
            raise InputError(f"{path} {taken[target]}; give another name")
        if target.exists() and not target.is_file():
            raise InputError(f"{path} is a {'folder' if target.is_dir() else 'device'}; give the name of a file")
        taken[target] = "is named for two outputs"
    for path in outputs:
        _check_parent(path)


def check_folder(folder: Path, replaceable: Collection[str]) -> Path:
    """The folder to write, with links resolved. Raises InputError for a file, or a folder with other content.

    `replaceable`: the names of what the tool itself wrote there earlier.
    """
    target = folder.resolve()
    if target.exists() and not target.is_dir():
        raise InputError(f"{folder} is a file; give the name of a new folder")
    if lost := [path.name for path in target.glob("*") if path.name not in replaceable]:
        raise InputError(f"{folder} has {len(lost)} other files, which would be lost; give the name of a new folder")
    _check_parent(folder)
    return target


def _check_parent(path: Path) -> None:
    """Raise InputError if one of the parents of `path` is a file."""
    if blocking := next((parent for parent in path.resolve().parents if parent.exists() and not parent.is_dir()), None):
        raise InputError(f"{path}: {blocking} is a file, not a folder")
