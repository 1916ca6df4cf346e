"""Switch params.yaml to another corpus: `python -m stages.preset NAME [section.key=value ...]`.

A preset (presets/NAME.yaml) holds the settings that differ between corpora; comments and all other
settings of params.yaml stay as they are.
"""

import io
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML, YAMLError

from stages.project import files, params, paths
from stages.project.errors import InputError
from stages.project.stage import run

PRESETS = Path("presets")
NULL = "tag:yaml.org,2002:null"


def leaves(tree: Mapping[str, Any], prefix: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """The settings of a nested mapping as (key path, value)."""
    for key, value in tree.items():
        if isinstance(value, Mapping):
            yield from leaves(value, (*prefix, key))
        else:
            yield (*prefix, key), value


def apply(text: str, changes: Iterator[tuple[tuple[str, ...], Any]]) -> str:
    """`text` of a params.yaml with the settings changed and its comments kept. Raises InputError for an unknown key."""
    yaml = YAML()
    yaml.width = 1000
    yaml.representer.add_representer(type(None), lambda dumper, _: dumper.represent_scalar(NULL, "null"))
    content = yaml.load(text)
    for path, value in changes:
        section = content
        for step in path[:-1]:
            section = section.get(step) if isinstance(section, Mapping) else None
        if not isinstance(section, Mapping) or path[-1] not in section:
            raise InputError(f"{'.'.join(path)}: no such key in {paths.PARAMS}")
        if isinstance(value, list):
            section[path[-1]][:] = value
        else:
            section[path[-1]] = value
    changed = dump(yaml, content)
    params.check(params.parse(changed), str(paths.PARAMS))
    return changed


def dump(yaml: YAML, content: Any) -> str:
    """`content` as YAML text."""
    stream = io.StringIO()
    yaml.dump(content, stream)
    return stream.getvalue()


def override(argument: str) -> tuple[tuple[str, ...], Any]:
    """`section.key=value` as (key path, value). Raises InputError where it has another form."""
    key, equals, value = argument.partition("=")
    if not equals:
        raise InputError(f"{argument!r} should have the form section.key=value")
    try:
        return tuple(key.split(".")), YAML(typ="safe").load(value)
    except YAMLError:
        raise InputError(f"{key}: {value!r} is not a valid value") from None


def main() -> None:
    available = sorted(path.stem for path in PRESETS.glob("*.yaml"))
    if len(sys.argv) < 2 or sys.argv[1] not in available:
        raise InputError(f"name one of {', '.join(available)} (and settings as section.key=value)")
    preset = YAML().load((PRESETS / f"{sys.argv[1]}.yaml").read_text(encoding="utf-8"))
    changes = [*leaves(preset), *map(override, sys.argv[2:])]
    changed = apply(paths.PARAMS.read_text(encoding="utf-8"), changes)
    with files.whole_file(paths.PARAMS) as partial:
        partial.write_text(changed, encoding="utf-8")


if __name__ == "__main__":
    run(main)
