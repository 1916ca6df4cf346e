"""The one reader of text, lines, JSON and YAML that come from outside the pipeline.

Errors are InputErrors that name the file and the line and never quote the content.
"""

import json
import math
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from stages.common.io import InputError

DIRECTIONS = "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
JSON_LINES = (".jsonl", ".ndjson")
LFS = b"version https://git-lfs"


def decode(content: bytes, where: Path | str) -> str:
    """UTF-8 text without a byte order mark. Raises InputError for another encoding or binary content."""
    if b"\0" in content:
        raise InputError(f"{where} is not text")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise InputError(f"{where} is not UTF-8 text (Latin-1, perhaps); it should be UTF-8") from None


def read_text(path: Path) -> str:
    """The text of a file. Raises InputError if it cannot be read or is not UTF-8."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror})") from None
    if content.startswith(LFS):
        raise InputError(f"{path} is a pointer of Git LFS, not the file itself; fetch it by `git lfs pull`")
    return decode(content, path)


def lines(text: str) -> Iterator[tuple[int, str]]:
    """The non-blank lines with their numbers; only a line feed ends a line, as in JSON Lines."""
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            yield number, line.removesuffix("\r")


def parse_json(text: str, where: Path | str) -> Any:
    """A JSON value with lone surrogates replaced. Duplicate keys, NaN and Infinity raise InputError too."""
    try:
        return _repair(json.loads(text, object_pairs_hook=_unique, parse_float=_finite, parse_constant=_finite))
    except RecursionError:
        raise InputError(f"{where} is nested too deep") from None
    except json.JSONDecodeError as error:
        position = f"{error.msg}, line {error.lineno}, column {error.colno}"
        raise InputError(f"{where} is not valid JSON, perhaps cut short ({position})") from None
    except _Refused as error:
        raise InputError(f"{where} {error}") from None
    except ValueError:
        raise InputError(f"{where} has a number of too many digits") from None


def json_lines(path: Path, wanted: str) -> Iterator[tuple[int, dict[str, Any]]]:
    """The objects of a JSON Lines file with their line numbers. Raises InputError for anything else."""
    for number, line in lines(read_text(path)):
        try:
            row = parse_json(line, "it")
        except InputError as error:
            raise InputError(f"{path}, line {number}: should be {wanted}, but {error}") from None
        if not isinstance(row, dict):
            raise InputError(f"{path}, line {number}: should be {wanted}")
        yield number, row


def parse_yaml(text: str, where: Path | str) -> Any:
    """A YAML value. Duplicate keys raise InputError too."""
    try:
        return yaml.load(text, _UniqueKeys)
    except RecursionError:
        raise InputError(f"{where} is nested too deep") from None
    except _Refused as error:
        raise InputError(f"{where} {error}") from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        position = f" in line {mark.line + 1}" if mark else ""
        raise InputError(f"{where} is not valid YAML ({error.problem or 'cut short'}{position})") from None
    except (yaml.YAMLError, ValueError):
        raise InputError(f"{where} is not valid YAML") from None


def printable(text: str) -> str:
    """`text` made safe for a line of a terminal or a page, character by character.

    White space becomes a space, control and bidirectional characters U+FFFD.
    """

    def steers(character: str) -> bool:
        return unicodedata.category(character) in ("Cc", "Cs") or character in DIRECTIONS

    spaced = (" " if character.isspace() else character for character in text)
    return "".join("\N{REPLACEMENT CHARACTER}" if steers(character) else character for character in spaced)


class _Refused(ValueError):
    """Content that the library accepts but this project does not."""


class _UniqueKeys(yaml.SafeLoader):
    """A YAML loader for which a duplicate key is an error."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict:
        keys = [(key.tag, key.value) for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
        if len(keys) != len(set(keys)):
            raise _Refused(f"has a key twice in the mapping of line {node.start_mark.line + 1}")
        return super().construct_mapping(node, deep)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    mapping = {_repair(key): _repair(value) for key, value in pairs}
    if len(mapping) != len(pairs):
        raise _Refused("has a key twice")
    return mapping


def _repair(value: Any) -> Any:
    """Lone surrogates (from text that was cut in UTF-16) replaced by U+FFFD."""
    if isinstance(value, str):
        return value if value.isascii() else value.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return [_repair(item) for item in value] if isinstance(value, list) else value


def _finite(number: str) -> float:
    if not math.isfinite(value := float(number)):
        raise _Refused("holds a number that is not finite")
    return value
