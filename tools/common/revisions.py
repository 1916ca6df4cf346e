"""The files of a git revision or experiment, from git and DVC's cache."""

from pathlib import Path

from dvc.api import DVCFileSystem
from dvc.exceptions import DvcException
from dvc.scm import SCMError
from dvc_data.index import DataIndexDirError

from stages.common.io import InputError
from stages.common.workspace import git

WORKSPACE = "workspace"


def open_revision(revision: str) -> DVCFileSystem:
    """The files of a revision in git and DVC's cache. Raises InputError for an unknown revision."""
    known = git("rev-parse", "--verify", "--quiet", f"{revision}^{{commit}}") is not None or revision == WORKSPACE
    if not known and not git("for-each-ref", f"refs/exps/*/*/{revision}"):  # where DVC keeps named experiments
        raise InputError(f"revision {revision}: git knows no such commit; `dvc exp show` lists the experiments")
    try:
        files = DVCFileSystem(rev=None if revision == WORKSPACE else revision)
        files.ls("", detail=False)  # opens the repository, which is otherwise deferred
        return files
    except (SCMError, DvcException) as error:
        raise InputError(f"revision {revision}: {error}; `dvc exp show` lists the experiments") from None


def read_file(files: DVCFileSystem, path: Path) -> bytes | None:
    """A file of a revision; None if neither git nor DVC's cache has it."""
    try:
        with files.open(str(path), "rb") as file:
            return file.read()
    except (OSError, DataIndexDirError):
        return None
