"""An output that would lose something is refused before any work."""

from pathlib import Path

import pytest

from stages.common.io import InputError
from tools.common.outputs import check_files, check_folder


def test_files(tmp_path):
    note, out = tmp_path / "note.txt", tmp_path / "out"
    note.write_text("a note")
    (tmp_path / "link").symlink_to(note)
    check_files([out, tmp_path / "other"], [note])
    for outputs, wrong in (
        ([note], "would be overwritten"),
        ([tmp_path / "link"], "would be overwritten"),
        ([out, tmp_path / "x" / ".." / "out"], "two outputs"),
        ([tmp_path], "is a folder"),
        ([Path("/dev/null")], "is a device"),
        ([note / "below"], "is a file, not a folder"),
    ):
        with pytest.raises(InputError, match=wrong):
            check_files(outputs, [note])
    assert note.read_text() == "a note"


def test_folders(tmp_path):
    users, earlier = tmp_path / "mine", tmp_path / "earlier"
    for folder, name in ((users, "thesis.txt"), (earlier, "kit.json")):
        folder.mkdir()
        (folder / name).write_text("kept")
    (tmp_path / "link").symlink_to(earlier)
    assert check_folder(tmp_path / "new", ["kit.json"]) == tmp_path / "new"
    assert check_folder(tmp_path / "link", ["kit.json"]) == earlier  # written through
    with pytest.raises(InputError, match="would be lost"):
        check_folder(users, ["kit.json"])
    with pytest.raises(InputError, match="is a file"):
        check_folder(users / "thesis.txt", ["kit.json"])
