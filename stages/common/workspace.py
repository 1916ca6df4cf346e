"""What lies in the workspace and who knows of it: git, DVC, or nobody.

`dvc exp run --temp` and `--queue` work in a copy of the repository that has what git and DVC track and nothing else. An
input that the user placed must therefore be tracked, or lie at an absolute path.
"""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import yaml

from stages.common import paths
from stages.common.io import InputError

PINNED = Path("data/published")  # what lies here is decided by the checksums in its pins.yaml, whoever placed it


def check_input(key: str, value: str, wanted: str) -> None:
    """Raise InputError unless the file or folder that the parameter `key` names is there in every workspace.

    `wanted` says what it should be. The output of a stage need not be there yet.
    """
    if value.startswith("~"):
        raise InputError(f"{key}: {value}: `~` is not expanded here; write {Path(value).expanduser()}")
    path = Path(value)
    if any(path == output or output in path.parents for output in outputs()):
        return
    if not path.exists():
        hint = "" if path.is_absolute() else " (a queued or temporary experiment has only what git and DVC track)"
        raise InputError(f"{key}: {value} does not exist{hint}; it should be {wanted}")
    if not path.is_absolute() and path != PINNED and (strangers := untracked(path)):
        raise InputError(
            f"{key}: neither git nor DVC knows {len(strangers)} files of {value}, such as {strangers[0]}, so a queued "
            f"or temporary experiment would not see them; {remedy(path, strangers)}"
        )


def remedy(path: Path, strangers: list[Path]) -> str:
    """What to type so that every workspace sees `path`."""
    if Path("..") in (path, *path.parents):
        return f"give the absolute path, {path.resolve()}"
    wanted = [strangers[0]] if path.is_dir() and tracked(path) else [path]
    lines = " && ".join(f"dvc add {one} && git add {one}.dvc" for one in wanted)
    return f"type `{lines}`, or move them elsewhere and give the absolute path"


def outputs() -> list[Path]:
    """The outputs of all stages, relative to the repository's root."""
    found = []
    for file in [Path("dvc.yaml"), *sorted(Path("data").glob("*/dvc.yaml"))]:
        if file.exists():
            content = yaml.safe_load(file.read_text(encoding="utf-8")) or {}
            for stage in content.get("stages", {}).values():
                for output in stage.get("outs", []):
                    found.append(Path(output if isinstance(output, str) else next(iter(output))))
    return found


def untracked(path: Path) -> list[Path]:
    """The files at or below `path` that neither git nor DVC tracks, sorted.

    None in a folder whose params.yaml git does not track: there are no experiments there. Files whose name begins with
    a dot (a Mac's .DS_Store) do not count: DVC is told to pass over them.
    """
    listed = git("ls-files", "--others", "-z", "--", str(path))
    if listed is None or not tracked(paths.PARAMS):
        return []
    known = [*outputs(), *dvc_added()]
    files = (Path(name) for name in listed.split("\0") if name)
    return sorted(
        file
        for file in files
        if not file.name.startswith(".")
        and file.suffix != ".dvc"
        and not any(one in (file, *file.parents) for one in known)
    )


def tracked(path: Path) -> bool:
    """Whether git tracks anything at or below `path`."""
    return bool(git("ls-files", "--", str(path)))


def dvc_added() -> Iterator[Path]:
    """What `dvc add` tracks by a .dvc file that git knows."""
    for name in filter(None, (git("ls-files", "-z", "--", "*.dvc") or "").split("\0")):
        try:
            content = yaml.safe_load(Path(name).read_text(encoding="utf-8")) or {}
        except (OSError, yaml.YAMLError):
            continue
        for output in content.get("outs", []):
            yield Path(name).parent / output["path"]


def shared_folder() -> Path:
    """Where all workspaces of a repository have their checkpoints: in DVC's cache; models/checkpoints without DVC."""
    from dvc.config import Config, ConfigError  # takes half a second
    from dvc.exceptions import NotDvcRepoError
    from dvc.repo import Repo

    try:
        dvc_folder = Repo.find_dvc_dir()
        configured = Config(dvc_folder, validate=False)["cache"].get("dir")
    except (NotDvcRepoError, ConfigError):
        return paths.CHECKPOINTS
    return Path(configured or Path(dvc_folder) / "cache") / "checkpoints"


def git(*arguments: str) -> str | None:
    """What git answers; None where it has no answer. Raises InputError where it refuses the repository."""
    try:
        done = subprocess.run(["git", *arguments], capture_output=True, text=True, check=False)
    except OSError:
        return None
    if "dubious ownership" in done.stderr:
        raise InputError(
            f"git refuses to read this repository, which another user owns: {' '.join(done.stderr.split())}"
        )
    return done.stdout if done.returncode == 0 else None
