"""Repair git's and DVC's own files after a kill: `python -m tools.mend`.

A kill inside a stage loses nothing. A kill while DVC writes one of its own files may truncate that file, and one that
ends `dvc exp run` in the workspace leaves git's HEAD on a temporary commit of DVC's. Each case is recognised by its
content; damaged files are set aside, not deleted, and intact ones left alone.
"""

import json
import logging
import os
import subprocess
from pathlib import Path

import yaml
from dvc.schema import COMPILED_LOCKFILE_SCHEMA
from voluptuous import Invalid

from stages.common import paths
from stages.common.io import InputError
from stages.common.runner import run
from stages.common.workspace import git

log = logging.getLogger("tools.mend")

RWLOCK = Path(".dvc/tmp/rwlock")
EXPERIMENT_BEGAN = "refs/exps/exec/EXEC_HEAD"  # where DVC records HEAD at the start of an experiment
DVC_COMMIT = "dvc: commit experiment"  # prefix of the message of DVC's own commits


def main() -> None:
    if git("rev-parse", "--git-dir") is None or not Path(".dvc").is_dir():
        raise InputError("run this in the root of the repository, where .dvc is")
    if busy := running():
        raise InputError(f"DVC is running here (process {', '.join(map(str, busy))}); wait for it, or end it, first")
    n_mended = sum([mend_rwlock(), *map(mend_lock, paths.LOCKS), mend_head()])
    log.info("repaired: %d; now run `dvc repro`", n_mended) if n_mended else log.info("nothing to repair")


def running() -> list[int]:
    """The DVC processes that work in this folder, except this process's parents."""
    processes = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            words = (folder / "cmdline").read_bytes().split(b"\0")[:3]
            in_this_folder = (folder / "cwd").resolve() == Path.cwd() and int(folder.name) != os.getpid()
        except OSError:
            continue
        if in_this_folder and any(Path(word.decode(errors="replace")).name == "dvc" for word in words):
            processes.append(int(folder.name))
    return processes


def mend_rwlock() -> bool:
    """Set aside a truncated list of DVC's locks; no process holds one now."""
    try:
        json.loads(RWLOCK.read_text(encoding="utf-8") or "-")
        return False
    except FileNotFoundError:
        return False
    except (ValueError, UnicodeDecodeError):
        return put_aside(RWLOCK)


def mend_lock(path: Path) -> bool:
    """Restore the committed version of a truncated lock file; later results come from the run cache."""
    try:
        COMPILED_LOCKFILE_SCHEMA(yaml.safe_load(path.read_text(encoding="utf-8")))
        return False
    except FileNotFoundError:
        return False
    except (yaml.YAMLError, UnicodeDecodeError, Invalid):
        put_aside(path)
    subprocess.run(["git", "checkout", "--", str(path)], check=True, capture_output=True)
    log.info("%s is restored as committed", path)
    return True


def mend_head() -> bool:
    """Return to the branch after a killed `dvc exp run` detached git's HEAD; files are left unchanged."""
    if git("symbolic-ref", "--quiet", "HEAD") is not None:
        return False
    begun, head = (git("rev-parse", "--verify", "--quiet", ref) for ref in (EXPERIMENT_BEGAN, "HEAD"))
    subject = (git("log", "-1", "--format=%s") or "").strip()
    branch = (git("rev-parse", "--abbrev-ref", "@{-1}") or "").strip()
    at_branch = begun is not None and git("rev-parse", "--verify", "--quiet", f"refs/heads/{branch}") == begun
    if not at_branch or (head != begun and not subject.startswith(DVC_COMMIT)):
        log.warning("git's HEAD is detached, but not by a killed experiment; `git switch -` returns to the branch")
        return False
    subprocess.run(["git", "symbolic-ref", "HEAD", f"refs/heads/{branch}"], check=True)
    subprocess.run(["git", "reset", "--quiet"], check=True)
    log.info("git is on the branch %s again; `git diff params.yaml` shows what the experiment had set", branch)
    return True


def put_aside(path: Path) -> bool:
    aside = path.with_name(f"{path.name}.broken")
    path.replace(aside)
    log.info("%s was truncated; its content is now in %s", path, aside)
    return True


if __name__ == "__main__":
    run(main)
