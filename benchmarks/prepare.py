"""Preparation of MIMIC-III and MIMIC-IV, and stratification: this project's way beside the straightforward one.

    python -m benchmarks.prepare                       # 1,250 / 2,500 / 5,000 admissions, about a minute
    python -m benchmarks.load_data /tmp/load           # load data of MIMIC-III's full size
    python -m benchmarks.prepare --load /tmp/load      # also this folder
    python -m benchmarks.load_data /tmp/load4 --mimic4
    python -m benchmarks.prepare --load4 /tmp/load4 --load /tmp/load

Seconds and peak memory are those of a whole `python -m stages.prepare_splits`, interpreter and imports included.
`straightforward` reads all notes with pandas, joins and cleans them by regular expressions, and counts the labels anew
in every round of the stratification.
"""

import argparse
import random
import re
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd

from stages.common import io, params, paths
from stages.corpus import stratify
from stages.corpus.document import Kind
from stages.corpus.icd import add_dot

SUBSETS = ("top50", "full", "clean")
SUBSETS_OF_MIMIC4 = ("icd9", "icd10")
ROOT = Path(__file__).parents[1]
MEASURED = """
import resource, subprocess, sys, time
start = time.perf_counter()
subprocess.run(sys.argv[1:], check=True, capture_output=True)
usage = resource.getrusage(resource.RUSAGE_CHILDREN)
print(time.perf_counter() - start, usage.ru_utime + usage.ru_stime, usage.ru_maxrss)
"""


def write_load(folder: Path, n_admissions: int) -> None:
    """Load data of the size at which the authors' scripts were timed: 1.8 notes an admission of 1,400 words each."""
    sizes = ["--admissions", str(n_admissions), "--other-notes", "0.8", "--other-words", "1400"]
    command = [sys.executable, "-m", "benchmarks.load_data", str(folder), *sizes]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)


def measure(*command: str, cwd: Path) -> tuple[float, float, float]:
    """Wall seconds, CPU seconds and peak memory in GB of a command."""
    environment = {"PYTHONPATH": str(ROOT)}
    run = [sys.executable, "-c", MEASURED, *command]
    done = subprocess.run(run, cwd=cwd, env=environment, check=True, capture_output=True, text=True)
    wall, cpu, kilobytes = map(float, done.stdout.split())
    return wall, cpu, kilobytes / 1e6


def prepare(raw: Path, subset: str, form: str = "mimic3") -> tuple[float, float, float]:
    """Run prepare_splits on a folder of tables, in a working folder of its own."""
    with tempfile.TemporaryDirectory() as folder:
        content = params.parse((ROOT / paths.PARAMS).read_text(encoding="utf-8"))
        content["data"] |= {"raw_dir": str(raw.resolve()), "subset": subset, "split": "stratified", "format": form}
        if form == "mimic4":
            content["data"]["notes_dir"] = str(raw.resolve())
        io.write_json(Path(folder) / paths.PARAMS, content, digits=17)
        return measure(sys.executable, "-m", "stages.prepare_splits", cwd=Path(folder))


def straightforward(raw: Path, subset: str) -> None:
    """Documents and codes of `full` or `clean`, all at once in pandas; the split aside."""
    notes = pd.read_csv(raw / "NOTEEVENTS.csv.gz", dtype=str)
    notes = notes[notes["CATEGORY"] == "Discharge summary"]
    texts = notes.groupby(["SUBJECT_ID", "HADM_ID"])["TEXT"].agg(" ".join).reset_index()
    codes = []
    kinds: tuple[tuple[Kind, str], ...] = (("procedure", "PROCEDURES_ICD"), ("diagnosis", "DIAGNOSES_ICD"))
    for kind, name in kinds:
        table = pd.read_csv(raw / f"{name}.csv.gz", dtype=str).dropna(subset=["ICD9_CODE"])
        table["code"] = [add_dot(code.strip(), kind) for code in table["ICD9_CODE"]]
        codes.append(table)
    both = pd.concat(codes).groupby(["SUBJECT_ID", "HADM_ID"])["code"].agg(lambda own: sorted(set(own))).reset_index()
    documents = texts.merge(both)
    if subset == "clean":
        counts = Counter(code for own in documents["code"] for code in own)
        documents["code"] = [[code for code in own if counts[code] >= 10] for own in documents["code"]]
        texts = (re.sub(r"[^A-Za-z0-9]+", " ", text.lower()) for text in documents["TEXT"])
        documents["TEXT"] = [re.sub(r"\s+", " ", re.sub(r"(\s\d+)+\s", " ", text)).strip() for text in texts]
    else:
        documents["TEXT"] = [re.sub(r"\s+", " ", text).strip() for text in documents["TEXT"]]
    with tempfile.NamedTemporaryFile() as file:
        documents.to_parquet(file.name)


def subjects(count: int, n_codes: int, seed: int = 0) -> list[list[str]]:
    """Code lists of `count` subjects, 14.5 codes each on average, with a long tail."""
    rng = np.random.default_rng(seed)
    shares = 1 / np.arange(5.0, n_codes + 5)
    lengths = np.maximum(1, rng.poisson(14.5, size=count))
    drawn = rng.choice(n_codes, size=lengths.sum(), p=shares / shares.sum())
    return [[f"c{code}" for code in own] for own in np.split(drawn, np.cumsum(lengths)[:-1])]


def stratify_plainly(labels: list[list[str]], ratios: tuple[float, ...], generator: random.Random) -> list[list[int]]:
    """Stratification with the labels counted anew in each round."""
    order = list(dict.fromkeys(label for own in labels for label in own))
    counts = Counter(label for own in labels for label in own)
    demands = [{label: counts[label] * ratio for label in order} for ratio in ratios]
    totals = [len(order) * ratio for ratio in ratios]
    parts: list[list[int]] = [[] for _ in ratios]
    remaining = list(range(len(labels)))
    while remaining:
        counts = Counter(label for subject in remaining for label in labels[subject])
        rarest = min(reversed(order), key=lambda label: counts[label] or len(labels) ** 2)
        having = [subject for subject in remaining if rarest in labels[subject]]
        for subject in reversed(having):
            wants = [(demand[rarest], total) for demand, total in zip(demands, totals, strict=True)]
            tied = [part for part, want in enumerate(wants) if want == max(wants)]
            part = tied[0] if len(tied) == 1 else generator.choice(tied)
            parts[part].append(subject)
            totals[part] -= 1
            for label in labels[subject]:
                demands[part][label] -= 1
        gone = set(having)
        remaining = [subject for subject in remaining if subject not in gone]
    return parts


def timed(call, *arguments: object) -> tuple[float, object]:
    start = time.perf_counter()
    result = call(*arguments)
    return time.perf_counter() - start, result


def prepare_table(sizes: list[int], load: Path | None, load4: Path | None) -> None:
    print(f"{'admissions':>10} {'subset':>6} {'seconds':>8} {'CPU':>6} {'GB':>5} {'ms/admission':>13}")
    with tempfile.TemporaryDirectory() as folder:
        for size in sizes:
            raw = Path(folder) / str(size)
            write_load(raw, size)
            for subset in SUBSETS:
                wall, cpu, memory = prepare(raw, subset)
                print(f"{size:>10,} {subset:>6} {wall:>8.1f} {cpu:>6.1f} {memory:>5.2f} {1000 * wall / size:>13.2f}")
        print(f"\nstraightforward, {sizes[-1]:,} admissions, without the split")
        for subset in SUBSETS[1:]:
            command = f"from benchmarks.prepare import *; straightforward(Path({str(raw)!r}), {subset!r})"
            wall, cpu, memory = measure(sys.executable, "-c", command, cwd=ROOT)
            print(f"{sizes[-1]:>10,} {subset:>6} {wall:>8.1f} {cpu:>6.1f} {memory:>5.2f}")
    for given, subsets, form in ((load, SUBSETS, "mimic3"), (load4, SUBSETS_OF_MIMIC4, "mimic4")):
        if given is None:
            continue
        for subset in subsets:
            wall, cpu, memory = prepare(given, subset, form)
            print(f"{given.name:>10} {subset:>6} {wall:>8.1f} {cpu:>6.1f} {memory:>5.2f}", flush=True)


def stratify_table(everywhere: bool) -> None:
    ratios = (0.85, 0.15)
    print(f"\n{'subjects':>10} {'codes':>6} {'ours':>8} {'straightforward':>16} {'ratio':>6} {'equal':>6}")
    for count, codes in ((3000, 300), (10000, 2000), (20000, 2000), (37000, 3681)):
        labels = subjects(count, codes)
        ours, parts = timed(stratify.stratify, labels, ratios, random.Random(10))
        line = f"{count:>10,} {codes:>6,} {ours:>8.2f}"
        if everywhere or count < 20000:
            plain, expected = timed(stratify_plainly, labels, ratios, random.Random(10))
            line += f" {plain:>16.2f} {plain / ours:>6.0f} {parts == expected!s:>6}"
        print(line)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--admissions", type=int, nargs="+", default=[1250, 2500, 5000])
    parser.add_argument("--load", type=Path, help="a folder of MIMIC-III's tables to prepare as well")
    parser.add_argument("--load4", type=Path, help="one of MIMIC-IV's, with the folders hosp and note")
    parser.add_argument("--everywhere", action="store_true", help="stratify straightforwardly at all sizes (minutes)")
    options = parser.parse_args()
    stratify_table(options.everywhere)
    print()
    prepare_table(options.admissions, options.load, options.load4)


if __name__ == "__main__":
    main()
