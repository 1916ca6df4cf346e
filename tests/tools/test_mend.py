"""What a kill left in git's and DVC's own files is recognised, mended, and put aside, not deleted."""

import logging
from pathlib import Path

import pytest

from stages.common.io import InputError
from tests.project import git
from tools import mend

LOCK = "schema: '2.0'\nstages:\n  one:\n    cmd: echo\n"


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    git("init", "-q", "-b", "main")
    mend.RWLOCK.parent.mkdir(parents=True)
    Path("dvc.lock").write_text(LOCK)
    git("add", "dvc.lock")
    git("commit", "-q", "-m", "first")
    return tmp_path


def test_what_is_whole_is_left_alone(repository: Path, caplog: pytest.LogCaptureFixture):
    mend.RWLOCK.write_text("{}")
    with caplog.at_level(logging.INFO):
        mend.main()
    assert caplog.messages == ["nothing to repair"]


@pytest.mark.parametrize("content", ["", '{"a', "\0\0"])
def test_a_cut_rwlock_is_put_aside(repository: Path, content: str):
    mend.RWLOCK.write_text(content)
    mend.main()
    assert not mend.RWLOCK.exists()
    assert mend.RWLOCK.with_name("rwlock.broken").read_text() == content


@pytest.mark.parametrize(
    "content", ["", "schema: '2.0'\nstages:\n  one:\n    cmd: [ec", "stages", "\0", LOCK + "    deps:\n    - path:\n"]
)
def test_a_cut_lock_file_is_as_it_was_committed(repository: Path, content: str):
    Path("dvc.lock").write_text(content)
    mend.main()
    assert Path("dvc.lock").read_text() == LOCK
    assert Path("dvc.lock.broken").read_text() == content


def test_a_killed_experiment_leaves_its_files_on_the_branch(repository: Path):
    git("switch", "-q", "--detach")
    git("update-ref", "refs/exps/exec/EXEC_HEAD", "HEAD")
    Path("params.yaml").write_text("changed: 1\n")
    git("add", "params.yaml")
    mend.main()
    assert git("branch", "--show-current") == "main"
    assert Path("params.yaml").read_text() == "changed: 1\n"
    assert git("status", "--short", "params.yaml") == "?? params.yaml"


def test_elsewhere_it_says_where_to_run_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match="root of the repository"):
        mend.main()


def test_a_head_that_the_user_detached_stays(repository: Path, caplog: pytest.LogCaptureFixture):
    """At an older commit, where an experiment ended well: DVC's mark is there, and nothing was killed."""
    Path("later").write_text("")
    git("add", "later")
    git("commit", "-q", "-m", "second")
    git("switch", "-q", "--detach", "HEAD~1")
    git("update-ref", "refs/exps/exec/EXEC_HEAD", "HEAD")
    before = git("rev-parse", "HEAD")
    mend.main()
    assert git("rev-parse", "HEAD") == before
    assert git("status", "--porcelain") == ""
    assert "git switch -" in caplog.text
