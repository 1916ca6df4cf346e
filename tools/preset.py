"""Switch params.yaml to another corpus: `python -m tools.preset NAME [SETUP ...] [section.key=value ...]`.

A preset (presets/NAME.yaml) holds the settings that differ between corpora, many of them in the preset named as its
base. Comments and all other settings of params.yaml are kept.
"""

import itertools
import logging
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, MutableMapping
from io import StringIO
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML, YAMLError

from stages.common import io, params, paths
from stages.common.io import InputError
from stages.common.runner import run
from stages.corpus import corpora

log = logging.getLogger("tools.preset")

PRESETS = Path("presets")
NULL = "tag:yaml.org,2002:null"
Key = tuple[str, ...]


def leaves(tree: Mapping[str, Any], prefix: Key = ()) -> Iterator[tuple[Key, Any]]:
    """The settings of a nested mapping as (key path, value)."""
    for key, value in tree.items():
        if isinstance(value, Mapping):
            yield from leaves(value, (*prefix, key))
        else:
            yield (*prefix, key), value


def available() -> list[str]:
    """The presets that name a corpus; the others are bases."""
    return sorted(path.stem for path in PRESETS.glob("*.yaml") if "\ndata:" in path.read_text(encoding="utf-8"))


def settings_of(name: str) -> dict[Key, Any]:
    """The settings of a preset by key path: those of its `base`, if any, overridden by its own."""
    preset = params.parse((PRESETS / f"{name}.yaml").read_text(encoding="utf-8"))
    base = preset.pop("base", None)
    return (settings_of(base) if base else {}) | dict(leaves(preset))


def apply(text: str, changes: Iterable[tuple[Key, Any]]) -> str:
    """The text of a params.yaml with changed settings and its comments. Raises InputError for an unknown key."""
    yaml = YAML()
    yaml.width = 1000
    yaml.representer.add_representer(type(None), lambda dumper, _: dumper.represent_scalar(NULL, "null"))
    try:
        content = yaml.load(text)
    except YAMLError as error:
        raise InputError(f"{paths.PARAMS} is not valid YAML: {' '.join(str(error).split())}") from None
    if not isinstance(content, Mapping):
        remedy = f"`git checkout {paths.PARAMS}` brings it back"
        raise InputError(f"{paths.PARAMS} should be a mapping of sections; {remedy}")
    for path, value in changes:
        section: Any = content
        for step in path[:-1]:
            section = section.get(step) if isinstance(section, Mapping) else None
        if not isinstance(section, MutableMapping) or path[-1] not in section:
            raise InputError(f"{'.'.join(path)}: no such key in {paths.PARAMS}")
        if isinstance(value, list) and isinstance(section[path[-1]], list):
            section[path[-1]][:] = value
        else:
            section[path[-1]] = value
    stream = StringIO()
    yaml.dump(content, stream)
    corpora.describe(params.validate(params.Params, params.parse(stream.getvalue())).data)
    return stream.getvalue()


def override(argument: str) -> tuple[Key, Any]:
    """`section.key=value` as (key path, value). Raises InputError for any other form.

    The value is used verbatim for string parameters and parsed as YAML otherwise.
    """
    key, equals, value = argument.partition("=")
    if not equals:
        raise InputError(f"{argument!r} should have the form section.key=value")
    path = tuple(key.split("."))
    kind = params.type_of(path)
    if kind is str or (kind == (str | None) and value != "null"):
        return path, value
    try:
        return path, params.parse(value)
    except InputError:
        raise InputError(f"{key}: {value!r} is not a valid value") from None


def main() -> None:
    setups = sorted(path.stem for path in PRESETS.glob("*.yaml") if path.stem not in available())
    names = list(itertools.takewhile(lambda argument: "=" not in argument, sys.argv[1:]))
    if not names or names[0] not in available() or not set(names[1:]) <= set(setups):
        choices = f"name one of {', '.join(available())}, if wanted {' or '.join(setups)} after it"
        raise InputError(f"{choices}, and settings as section.key=value")
    overrides = list(map(override, sys.argv[1 + len(names) :]))
    if twice := {key for key, n in Counter(key for key, _ in overrides).items() if n > 1}:
        raise InputError(f"{', '.join(map('.'.join, sorted(twice)))} is set twice")
    presets = (item for name in names for item in settings_of(name).items())
    io.write_text(paths.PARAMS, apply(params.read(), [*presets, *overrides]))
    log.info("%s now has the preset %s; `git diff %s` shows the changes", paths.PARAMS, " ".join(names), paths.PARAMS)


if __name__ == "__main__":
    run(main)
