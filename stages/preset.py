"""Switch params.yaml to another corpus: `python -m stages.preset NAME [section.key=value ...]`.

A preset (presets/NAME.yaml) holds the settings that differ between corpora; comments and all other
settings of params.yaml stay as they are.
"""

import io
import logging
import sys
from collections.abc import Iterable, Iterator, Mapping, MutableMapping
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML, YAMLError

from stages.check_params import check_inputs
from stages.corpus import mimic
from stages.project import files, params, paths
from stages.project.errors import InputError
from stages.project.stage import run

log = logging.getLogger("stages.preset")

PRESETS = Path("presets")
FOR_NOTHING = 2**30  # bytes
NULL = "tag:yaml.org,2002:null"


def leaves(tree: Mapping[str, Any], prefix: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """The settings of a nested mapping as (key path, value)."""
    for key, value in tree.items():
        if isinstance(value, Mapping):
            yield from leaves(value, (*prefix, key))
        else:
            yield (*prefix, key), value


def apply(text: str, changes: Iterable[tuple[tuple[str, ...], Any]]) -> str:
    """`text` of a params.yaml with the settings changed and its comments kept. Raises InputError for an unknown key."""
    yaml = YAML()
    yaml.width = 1000
    yaml.representer.add_representer(type(None), lambda dumper, _: dumper.represent_scalar(NULL, "null"))
    try:
        content = yaml.load(text)
    except YAMLError as error:
        raise InputError(f"{paths.PARAMS} is not valid YAML: {' '.join(str(error).split())}") from None
    if not isinstance(content, Mapping):
        raise InputError(
            f"{paths.PARAMS} should be a mapping of sections; `git checkout {paths.PARAMS}` brings it back"
        )
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
    changed = dump(yaml, content)
    params.check(params.parse(changed), str(paths.PARAMS))
    return changed


def dump(yaml: YAML, content: Any) -> str:
    """`content` as YAML text."""
    stream = io.StringIO()
    yaml.dump(content, stream)
    return stream.getvalue()


def override(argument: str) -> tuple[tuple[str, ...], Any]:
    """`section.key=value` as (key path, value). Raises InputError where it has another form.

    What stands behind the `=` is taken as it stands where the parameter is a text, and read as YAML elsewhere.
    """
    key, equals, value = argument.partition("=")
    if not equals:
        raise InputError(f"{argument!r} should have the form section.key=value")
    path = tuple(key.split("."))
    kind = params.kind_of(path)
    if kind is str or (kind == (str | None) and value != "null"):
        return path, value
    try:
        return path, params.parse(value)
    except YAMLError:
        raise InputError(f"{key}: {value!r} is not a valid value") from None


def main() -> None:
    available = sorted(path.stem for path in PRESETS.glob("*.yaml"))
    if len(sys.argv) < 2 or sys.argv[1] not in available:
        raise InputError(f"name one of {', '.join(available)} (and settings as section.key=value)")
    preset = YAML().load((PRESETS / f"{sys.argv[1]}.yaml").read_text(encoding="utf-8"))
    changes = [*leaves(preset), *map(override, sys.argv[2:])]
    try:
        text = paths.PARAMS.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise InputError(f"{paths.PARAMS} does not exist; run from the repository's root") from None
    except UnicodeDecodeError:
        raise InputError(f"{paths.PARAMS} is not UTF-8 text") from None
    changed = apply(text, changes)
    with files.whole_file(paths.PARAMS) as partial:
        partial.write_text(changed, encoding="utf-8")
    if any(argument.startswith("data.") for argument in sys.argv[2:]):
        look(params.load())


def look(settings: params.Params) -> None:
    """Say at once what a corpus's folder lacks, or has that DVC would read for nothing; no more than a warning."""
    try:
        check_inputs(settings)
    except InputError as error:
        log.warning("%s", error)
        return
    release = mimic.RELEASES.get(settings.data.format)
    if release is None:
        return
    raw, notes = Path(settings.data.raw_dir), Path(settings.data.notes_dir)
    folders = {raw: [*release.code_tables.values(), *release.title_tables.values()]}
    folders.setdefault(notes if release is mimic.MIMIC_IV else raw, []).append(release.notes)
    for folder, names in folders.items():
        if not folder.is_dir():
            continue
        places = [one for one in (folder, folder / release.hospital, folder / release.notes_folder) if one.is_dir()]
        wanted = {place / f"{name}{end}" for place in places for name in names for end in (".csv.gz", ".csv")}
        found = {one.name.partition(".")[0] for one in wanted if one.is_file()}
        missing = [name for name in names if name not in found]
        if missing:
            log.warning("%s has no %s (.csv.gz or .csv)", folder, ", ".join(missing))
        sizes = [one.stat().st_size for one in folder.rglob("*") if one.is_file() and one not in wanted]
        if sum(sizes) > FOR_NOTHING:
            log.warning(
                "%s has %.1f GB that the pipeline does not need and DVC would read; link the tables into a folder of "
                "their own: mkdir tables && ln -s %s/{%s}* tables/",
                *(folder, sum(sizes) / 2**30, folder, ",".join(names)),
            )
    log.info("looked at %s", ", ".join(map(str, folders)))


if __name__ == "__main__":
    run(main)
