import errno
import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp

from stages.common import io
from stages.common.io import InputError


def test_a_file_is_replaced_whole_or_left_as_it_was(tmp_path: Path):
    path = tmp_path / "out.txt"
    path.write_text("earlier")
    with pytest.raises(ZeroDivisionError), io.whole_file(path) as partial:
        partial.write_text("half")
        1 / 0  # noqa: B018
    assert path.read_text() == "earlier"
    with io.whole_file(path) as partial:
        partial.write_text("new")
        assert path.read_text() == "earlier"
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


def test_a_directory_is_replaced_whole_or_left_as_it_was(tmp_path: Path):
    path = tmp_path / "out"
    with io.whole_directory(path) as partial:
        (partial / "a").write_text("1")
    with pytest.raises(ZeroDivisionError), io.whole_directory(path) as partial:
        (partial / "b").write_text("2")
        1 / 0  # noqa: B018
    assert [file.name for file in path.iterdir()] == ["a"]
    with io.whole_directory(path) as partial:
        (partial / "b").write_text("2")
    assert [file.name for file in path.iterdir()] == ["b"]
    assert list(tmp_path.iterdir()) == [path]


def test_a_renaming_that_fails_leaves_the_earlier_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = tmp_path / "out"
    with io.whole_directory(path) as partial:
        (partial / "a").write_text("1")
    rename = Path.rename

    def failing(self: Path, target: Path) -> Path:
        if self.name.endswith(".partial"):
            raise OSError(errno.EACCES, "denied")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", failing)
    with pytest.raises(OSError, match="denied"), io.whole_directory(path) as partial:
        (partial / "b").write_text("2")
    assert [file.name for file in path.iterdir()] == ["a"]
    assert list(tmp_path.iterdir()) == [path]


def test_a_kill_between_the_renamings_loses_nothing(tmp_path: Path):
    (tmp_path / ".out.replaced").mkdir()
    (tmp_path / ".out.replaced" / "a").write_text("1")
    with pytest.raises(ZeroDivisionError), io.whole_directory(tmp_path / "out"):
        1 / 0  # noqa: B018
    assert (tmp_path / "out" / "a").read_text() == "1"


def test_leftovers_of_a_killed_run_are_no_part_of_the_output(tmp_path: Path):
    (tmp_path / ".out.partial").mkdir()
    (tmp_path / ".out.partial" / "old").write_text("0")
    with io.whole_directory(tmp_path / "out") as partial:
        (partial / "new").write_text("1")
    assert [file.name for file in (tmp_path / "out").iterdir()] == ["new"]


def test_json_is_sorted_and_floats_are_stable(tmp_path: Path):
    io.write_json(tmp_path / "a.json", {"b": 1 / 3, "a": np.float32(0.5), "c": [np.int64(3), True, None]})
    text = (tmp_path / "a.json").read_text()
    assert json.loads(text) == {"a": 0.5, "b": 0.333333, "c": [3, True, None]}
    assert text.index('"a"') < text.index('"b"')
    with pytest.raises(InputError, match=r"a\.json: nan cannot be stored"):
        io.write_json(tmp_path / "a.json", float("nan"))
    assert (tmp_path / "a.json").read_text() == text


def test_damaged_json_is_named(tmp_path: Path):
    with pytest.raises(InputError, match=r"a\.json does not exist"):
        io.read_json(tmp_path / "a.json")
    (tmp_path / "a.json").write_text("{")
    with pytest.raises(InputError, match=r"a\.json is not valid JSON"):
        io.read_json(tmp_path / "a.json")


def test_equal_sparse_matrices_give_equal_bytes(tmp_path: Path):
    matrix = sp.csr_array(np.eye(3, dtype=np.uint8))
    unsorted = sp.csr_array((np.ones(2, np.uint8), np.array([2, 0]), np.array([0, 2])), shape=(1, 3))
    io.write_csr(tmp_path / "a.npz", matrix)
    io.write_csr(tmp_path / "b.npz", matrix.copy())
    io.write_csr(tmp_path / "c.npz", unsorted)
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
    assert np.array_equal(io.read_csr(tmp_path / "a.npz").toarray(), np.eye(3))
    assert io.read_csr(tmp_path / "c.npz").indices.tolist() == [0, 2]


def test_every_python_writes_the_same_sparse_matrix(tmp_path: Path):
    """Before 3.11.4 zipfile wrote other headers than it does since, where numpy alone packs the archive."""
    io.write_csr(tmp_path / "a.npz", sp.csr_array(np.eye(3, dtype=np.uint8)))
    assert hashlib.md5((tmp_path / "a.npz").read_bytes()).hexdigest() == "e3754835459e55e8455508cffbb88c27"
