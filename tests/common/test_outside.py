"""What comes from outside is read in one way, and what is wrong with it is one line that quotes nothing."""

import ast
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.common import outside
from stages.common.io import InputError

ROOT = Path(__file__).parents[2]
# Files that the project itself wrote or ships (JSON, DVC's own files, phrases), and a look before libraries load.
OWN = {
    "stages/common/io.py", "stages/common/outside.py", "stages/common/workspace.py", "stages/common/lock.py",
    "stages/common/threads.py", "stages/demo/generator.py", "stages/demo/notes.py", "stages/demo/patients.py",
    "tools/mend.py", "tools/report.py",
}  # fmt: skip


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ('{"zyx": 1, "zyx": 2}', "a key twice"),
        ('{"a": NaN}', "not finite"),
        ('{"a": -Infinity}', "not finite"),
        ('{"a": 1e999}', "not finite"),
        ('{"a": ' + "1" * 5000 + "}", "too many digits"),
        ("[" * 100_000, "nested too deep"),
        ('{"zyx": [1,', "not valid JSON"),
    ],
)
def test_json_that_is_refused(text, wrong):
    with pytest.raises(InputError, match=f"^pool.json.*{wrong}") as error:
        outside.parse_json(text, "pool.json")
    assert "zyx" not in str(error.value)


@pytest.mark.parametrize(
    ("text", "wrong"),
    [("a: 1\na: 2\n", "a key twice"), ("zyx: [1", "not valid YAML"), ("[" * 20_000, "nested too deep|not valid YAML")],
)
def test_yaml_that_is_refused(text, wrong):
    with pytest.raises(InputError, match=f"^pins.yaml.*({wrong})") as error:
        outside.parse_yaml(text, "pins.yaml")
    assert "zyx" not in str(error.value)


def test_half_a_character_becomes_a_sign_and_whole_ones_stay():
    assert outside.parse_json(r'{"a": "x\ud83d", "b": ["\ud83d\ude00"]}', "f") == {"a": "x\ufffd", "b": ["\U0001f600"]}


def test_lines_end_at_a_line_feed_alone(tmp_path):
    text = "a\u2028b\u2029c\x85d\x0ce"
    path = tmp_path / "a.jsonl"
    path.write_text(json.dumps({"text": text}, ensure_ascii=False) + "\r\n\n" + '{"text": "2"}', encoding="utf-8")
    assert list(outside.json_lines(path, "an object")) == [(1, {"text": text}), (3, {"text": "2"})]


def test_a_pointer_of_git_lfs_is_named(tmp_path):
    (tmp_path / "a.json").write_text("version https://git-lfs.github.com/spec/v1\n")
    with pytest.raises(InputError, match="git lfs pull"):
        outside.read_text(tmp_path / "a.json")


@given(st.text(st.characters()))
def test_what_is_shown_steers_no_terminal_and_can_be_written(text):
    shown = outside.printable(text)
    assert len(shown) == len(text)
    shown.encode()
    assert not any(ord(character) < 32 or 127 <= ord(character) < 160 for character in shown)
    assert outside.printable("a\nb\x1b[2J") == "a b\ufffd[2J"


def test_there_is_no_second_reader():
    """json.loads, yaml.safe_load and splitlines stand nowhere else but where the project reads its own files."""
    second = []
    for path in [*ROOT.glob("stages/**/*.py"), *ROOT.glob("tools/**/*.py")]:
        name = path.relative_to(ROOT).as_posix()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Attribute) and ast.unparse(node) in ("json.loads", "json.load", "yaml.safe_load"):
                second += [name] if name not in OWN else []
    assert second == []
