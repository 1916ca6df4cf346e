"""Which files of the workspace git and DVC track.

`dvc exp run --temp` and `--queue` work in a copy of the repository that holds only tracked files, so any input that
the user provides must be tracked or have an absolute path.
"""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import yaml

from stages.common import paths
from stages.common.io import InputError

PINNED = Path("data/published")  # its pins.yaml fixes the content of this folder, whoever put it there


def check_input(key: str, value: str, wanted: str) -> None:
    """Raise InputError unless the file or folder named by the parameter `key` exists in every workspace.

    `wanted` says what it should be. A stage's output need not exist yet.
    """
    if value.startswith("~"):
        raise InputError(f"{key}: {value}: `~` is not expanded here; write {Path(value).expanduser()}")
    path = Path(value)
    if any(path == output or output in path.parents for output in outputs()):
        return
    if not path.exists():
        hint = "" if path.is_absolute() else " (a queued or temporary experiment has only what git and DVC track)"
        raise InputError(f"{key}: {value} does not exist{hint}; it should be {wanted}")
    if not path.is_absolute() and path != PINNED and (strangers := find_untracked(path)):
        raise InputError(
            f"{key}: neither git nor DVC knows {len(strangers)} files of {value}, such as {strangers[0]}, so a queued "
            f"or temporary experiment would not see them; {remedy(path, strangers)}"
        )


def remedy(path: Path, strangers: list[Path]) -> str:
    """The command that makes `path` visible in every workspace."""
    if Path("..") in (path, *path.parents):
        return f"give the absolute path, {path.resolve()}"
    wanted = [strangers[0]] if path.is_dir() and is_tracked(path) else [path]
    lines = " && ".join(f"dvc add {target} && git add {target}.dvc" for target in wanted)
    return f"type `{lines}`, or move them elsewhere and give the absolute path"


def outputs() -> list[Path]:
    listed = []
    for file in [Path("dvc.yaml"), *sorted(Path("data").glob("*/dvc.yaml"))]:
        if file.exists():
            content = yaml.safe_load(file.read_text(encoding="utf-8")) or {}
            for stage in content.get("stages", {}).values():
                for output in stage.get("outs", []):
                    listed.append(Path(output if isinstance(output, str) else next(iter(output))))
    return listed


def find_untracked(path: Path) -> list[Path]:
    """The files at or below `path` that neither git nor DVC tracks, sorted.

    Empty if git does not track params.yaml, since there are no experiments then. Dotfiles (such as .DS_Store) do not
    count: DVC ignores them.
    """
    listed = git("ls-files", "--others", "-z", "--", str(path))
    if listed is None or not is_tracked(paths.PARAMS):
        return []
    known = [*outputs(), *dvc_added()]
    files = (Path(name) for name in listed.split("\0") if name)
    return sorted(
        file
        for file in files
        if not file.name.startswith(".")
        and file.suffix != ".dvc"
        and not any(tracked in (file, *file.parents) for tracked in known)
    )


def is_tracked(path: Path) -> bool:
    return bool(git("ls-files", "--", str(path)))


def dvc_added() -> Iterator[Path]:
    """What `dvc add` tracks through .dvc files known to git."""
    for name in filter(None, (git("ls-files", "-z", "--", "*.dvc") or "").split("\0")):
        try:
            content = yaml.safe_load(Path(name).read_text(encoding="utf-8")) or {}
        except (OSError, yaml.YAMLError):
            continue
        for output in content.get("outs", []):
            yield Path(name).parent / output["path"]


def shared_folder() -> Path:
    """Where all workspaces of a repository keep checkpoints: in DVC's cache, or models/checkpoints without DVC."""
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
    """git's output; None if the command fails. Raises InputError if git refuses the repository."""
    try:
        done = subprocess.run(["git", *arguments], capture_output=True, text=True, check=False)
    except OSError:
        return None
    if "dubious ownership" in done.stderr:
        raise InputError(
            f"git refuses to read this repository, which another user owns: {' '.join(done.stderr.split())}"
        )
    return done.stdout if done.returncode == 0 else None
