"""Kill stages again and again, and see whether each still ends as if it had never been killed.

    python -m benchmarks.kills train_classifier --kills 20
    python -m benchmarks.kills                                            # every stage, 3 kills each
    python -m benchmarks.kills train_joint --set model.type=CE_MSAM_CLQ

In a clone of the repository in a temporary folder, `dvc repro` runs once undisturbed. Then, for each stage, what the
stage left is removed, and `dvc repro` is started and killed (kill -9, all its processes) after a random time, over and
over, until the stage has been killed often enough or has ended. A last run ends undisturbed. The lock files must then
be what they were. Only a kill that meets the stage's own process counts.

DVC writes dvc.lock and its own .dvc/tmp/rwlock in place: a kill in that moment, after a stage has ended, leaves half a
file, and DVC stops at it. As a user would, the script removes the one, puts the other back, and counts how often.
"""

import argparse
import functools
import operator
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from dvc.schema import COMPILED_LOCKFILE_SCHEMA
from ruamel.yaml import YAML, YAMLError
from voluptuous import Invalid

REPRO = [sys.executable, "-m", "dvc", "repro"]
LOCKS = ("dvc.lock", "data/demo/dvc.lock")
SHORTEST = 1.0  # seconds before a kill


def quietly(command: list[str], folder: Path) -> None:
    """Run a command to its end; show what it said only if it failed."""
    done = subprocess.run(command, cwd=folder, env=environment(), capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(command)} failed:\n{done.stdout}{done.stderr}")


def environment() -> dict[str, str]:
    """The environment with this Python first, as `python -m stages...` in dvc.yaml expects."""
    return {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}


def clone(settings: list[str], folder: Path) -> None:
    """The repository as it is committed, with `section.key=value` settings."""
    quietly(["git", "clone", "--quiet", str(Path.cwd()), str(folder)], Path.cwd())
    yaml = YAML()
    params = yaml.load(folder / "params.yaml")
    for setting in settings:
        key, value = setting.split("=", 1)
        *sections, name = key.split(".")
        functools.reduce(operator.getitem, sections, params)[name] = yaml.load(value)
    yaml.dump(params, folder / "params.yaml")


def locked(folder: Path) -> dict[str, dict]:
    """What the lock files say of each stage, in the order in which they name the stages."""
    yaml = YAML(typ="safe")
    return {name: entry for file in LOCKS for name, entry in yaml.load(folder / file)["stages"].items()}


def forget_stage(stage: str, folder: Path) -> dict[str, str]:
    """Remove the stage's record, its outputs, and every record of earlier runs. Returns the lock files' texts."""
    yaml = YAML()
    for file in (folder / name for name in LOCKS):
        lock = yaml.load(file)
        for output in lock["stages"].pop(stage, {}).get("outs", []):
            path = folder / output["path"]
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        yaml.dump(lock, file)
    shutil.rmtree(folder / ".dvc" / "cache" / "runs", ignore_errors=True)
    return {name: (folder / name).read_text() for name in LOCKS}


def killed_after(seconds: float, stage: str, folder: Path) -> bool | None:
    """Start `dvc repro` and kill it after so many seconds, in the stage or not; None where it had ended by then."""
    repro = subprocess.Popen(
        REPRO,
        cwd=folder,
        env=environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        repro.wait(seconds)
        return None
    except subprocess.TimeoutExpired:
        met = subprocess.run(["pgrep", "-g", str(repro.pid), "-f", rf"stages\.{stage}$"], capture_output=True)
        os.killpg(repro.pid, signal.SIGKILL)
        repro.wait()
        return met.returncode == 0


def mended(folder: Path, before: dict[str, str]) -> int:
    """Do as a user would with files of DVC's own that a kill cut off; how many there were.

    Its list of running commands is removed, a lock file put back as it was `before`.
    """
    damaged = 0
    running = folder / ".dvc" / "tmp" / "rwlock"
    if running.exists() and not running.read_text():
        running.unlink()
        damaged += 1
    for name, text in before.items():
        try:
            COMPILED_LOCKFILE_SCHEMA(YAML(typ="safe").load(folder / name) or {})
        except (YAMLError, Invalid):
            (folder / name).write_text(text)
            damaged += 1
    return damaged


def kill_stage(stage: str, wanted: int, undisturbed: dict, folder: Path) -> None:
    """Kill one stage `wanted` times and compare the lock files; exits where they differ."""
    chance = random.Random(f"{stage}/{wanted}")
    forget_stage(stage, folder)
    began = time.monotonic()
    quietly(REPRO, folder)
    seconds = time.monotonic() - began
    kills = ends = damaged = 0
    while kills < wanted:
        before = forget_stage(stage, folder)
        killed = True
        while kills < wanted and killed is not None:
            killed = killed_after(chance.uniform(SHORTEST, max(seconds, 2 * SHORTEST)), stage, folder)
            kills += killed is True
            damaged += mended(folder, before)
        quietly(REPRO, folder)
        ends += 1
        found = locked(folder)
        if different := [name for name in undisturbed if found.get(name) != undisturbed[name]]:
            print(found.get(different[0]), undisturbed[different[0]], sep="\n")
            sys.exit(f"{stage}: after {kills} kills {', '.join(different)} differ; above: now, undisturbed")
    said = f"; files of DVC's own mended: {damaged}" if damaged else ""
    print(f"{stage}: {seconds:.0f} s; {kills} kills, ended {ends} times with the same lock files{said}", flush=True)


def main() -> None:
    """Kill, repeat, compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("stages", nargs="*", metavar="STAGE", help="default: all that write something")
    parser.add_argument("--kills", type=int, default=3, help="of each stage (default: 3)")
    parser.add_argument("--set", nargs="*", default=[], metavar="SECTION.KEY=VALUE", dest="settings")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "clone"
        clone(options.settings, folder)
        quietly(REPRO, folder)
        undisturbed = locked(folder)
        for stage in options.stages or [name for name, entry in undisturbed.items() if "outs" in entry]:
            kill_stage(stage, options.kills, undisturbed, folder)


if __name__ == "__main__":
    main()
