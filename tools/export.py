"""Export the model as a self-contained folder: `python -m tools.export FOLDER`.

It has weights, tokenizer, codes and titles, threshold, temperature and cleaning rule, and a model card in the Hugging
Face hub's format with the metrics. `python -m tools.code_notes --model FOLDER` codes notes with it, anywhere.
"""

import argparse
import logging
from dataclasses import replace
from pathlib import Path

from jinja2 import Environment, FileSystemLoader

from stages.common import io, paths
from stages.common.io import InputError
from stages.common.runner import run
from tools.common.outputs import check_folder
from tools.notes import kit as kits
from tools.notes.kit import Kit

log = logging.getLogger("tools.export")

TEMPLATES = Environment(loader=FileSystemLoader(Path(__file__).parent / "notes"), keep_trailing_newline=True)


def card(kit: Kit, protected: bool) -> str:
    """The model card: training data, figures, promises, intended use and limits."""
    return TEMPLATES.get_template("card.md").render(
        kit=kit,
        protected=protected,
        promised=any(accept is not None for accept in (kit.accept, *(accept for accept, _ in kit.by_code.values()))),
        selective=io.read_json(paths.SELECTIVE)["test"],
        figures=io.read_json(paths.PAPER),
        intervals=io.read_json(paths.CLASSIFICATION)["test"]["intervals"],
    )


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tools.export", description="The model as a folder of its own.")
    parser.add_argument("folder", type=Path)
    parser.add_argument(
        "--stays-where-the-data-may-be",
        action="store_true",
        help="needed for a model of records under a data use agreement: the folder is not passed on",
    )
    parser.add_argument(
        "--without-open-codes", action="store_true", help="leave out what `code_notes --also` and `--icd10cm` take"
    )
    options = parser.parse_args()
    target = check_folder(options.folder, kits.exported_into(options.folder))
    kit = kits.from_pipeline()
    protected = kit.about.get("protected", True)
    if protected and not options.stays_where_the_data_may_be:
        raise InputError(
            f"this model was trained on {kit.about['format']}, whose data use agreement covers its weights; if the "
            "folder stays where the data may be, say so by --stays-where-the-data-may-be"
        )
    if options.without_open_codes:
        kit = replace(kit, open=None)
    with io.whole_directory(target) as partial:
        kit.write(partial)
        io.write_text(partial / kits.CARD, card(kit, protected))
    if kit.open is not None:
        size = sum(path.stat().st_size for path in (target / kits.OPEN).rglob("*") if path.is_file())
        log.info("for codes that training has not seen: %.0f MB (--without-open-codes leaves them out)", size / 1e6)
    log.info("%s: model, tokenizer, %d codes, model card", options.folder, len(kit.codes))


if __name__ == "__main__":
    run(main)
