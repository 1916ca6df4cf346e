"""Export the model as a self-contained folder: `python -m tools.export FOLDER`.

It has weights, tokenizer, codes and titles, threshold, temperature and cleaning rule, and a model card in the Hugging
Face hub's format with the metrics. `python -m tools.code_notes --model FOLDER` codes notes with it, anywhere.
"""

import argparse
import logging
from pathlib import Path
from typing import Any

from stages.common import io, paths
from stages.common.io import InputError
from stages.common.runner import run
from stages.modeling.model import save_model
from tools.notes import kit as kits
from tools.notes.kit import Kit
from tools.outputs import check_folder

log = logging.getLogger("tools.export")


def card(kit: Kit, figures: dict[str, float], intervals: dict[str, Any], protected: bool) -> str:
    """The model card: training data, figures, intended use and limits."""
    corpus = f"{kit.about['format']} {kit.about['subset']}"
    shown = "\n".join(
        f"| {name} | {value:.2f} | {_interval(intervals.get(name))} |" for name, value in sorted(figures.items())
    )
    sharing = (
        "**Trained on records under a data use agreement: the weights stay where the data may be.**\n\n"
        if protected
        else ""
    )
    return f"""---
license: other
tags: [icd-coding, clinical-nlp, multi-label-classification]
pipeline_tag: text-classification
---

# ICD codes from clinical notes: {kit.type}

{sharing}A reproduction of *Accurate and Well-Calibrated ICD Code Assignment Through Attention Over Diverse Label
Embeddings* (Gomes et al., EACL 2024). Scores {len(kit.codes)} codes for a text.

* Corpus: {corpus}. Texts are cleaned by the rule `{kit.cleaning}` (in `kit.json`, applied by the code).
* Assigned above {kit.threshold:.3f}, tuned on validation micro-F1; temperature {kit.temperature:.2f} calibrates.
* {promise(kit)}

| on test, percent (rae: as it is) | value | 95 % interval |
|---|---:|---|
{shown}

Intended use: research on automatic coding. Limits: **no clinical use, no billing**; codes outside the list are never
assigned; texts of another hospital, language or time are coded worse, and nothing here says by how much.

Use: `python -m tools.code_notes --model THIS_FOLDER note.txt`, in the repository that made it.
"""


def promise(kit: Kit) -> str:
    """What is promised for codes accepted without review, and on which data."""
    if all(accept is None for accept in (kit.accept, *(accept for accept, _ in kit.by_code.values()))):
        return "No code can be accepted without review: validation has too few documents to promise a precision."
    found = io.read_json(paths.SELECTIVE)["test"]
    return (
        f"Accepted without review at a promised precision of {found['promised_precision']:g}, by thresholds chosen "
        f"on validation patients of the same corpus ({len(kit.by_code)} codes have their own); on test "
        f"{100 * found['accepted']:.1f} % of the true codes, at precision {found['precision']:.3f}. On other texts "
        "nothing is promised."
    )


def _interval(pair: Any) -> str:
    return f"{100 * pair[0]:.2f} to {100 * pair[1]:.2f}" if pair else ""


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
    measured = io.read_json(paths.CLASSIFICATION)["test"]["intervals"]
    with io.whole_directory(target) as partial:
        save_model(kit.model, partial)
        if kit.open is not None and not options.without_open_codes:
            size = kits.write_open(kit, partial / kits.OPEN)
            log.info("for codes that training has not seen: %.0f MB (--without-open-codes leaves them out)", size / 1e6)
        kits.write_kit(kit, partial)
        text = card(kit, io.read_json(paths.PAPER), measured, protected)
        (partial / kits.CARD).write_text(text, encoding="utf-8")
    log.info("%s: model, tokenizer, %d codes, model card", options.folder, len(kit.codes))


if __name__ == "__main__":
    run(main)
