"""Kill stages again and again, and see whether each still ends as if it had never been killed.

    python -m benchmarks.kills train_classifier --kills 20
    python -m benchmarks.kills                                            # every stage, 3 kills each
    python -m benchmarks.kills train_joint --set model.type=CE_MSAM_CLQ
    python -m benchmarks.kills --experiments 10                           # `dvc exp run`, killed at any time

In a clone of the repository in a temporary folder, `dvc repro` runs once undisturbed. Then, for each stage, what the
stage left is removed, and `dvc repro` is started and killed (kill -9, all its processes) after a random time, over and
over, until the stage has been killed often enough or has ended. A last run ends undisturbed. The lock files must then
be what they were. Only a kill that meets the stage's own process counts.

DVC writes dvc.lock and its own .dvc/tmp/rwlock in place, and works on an experiment with git's HEAD on no branch: a
kill of the whole group may leave either. As a user would, the script types `python -m tools.mend`, and counts what
that found.
"""

import argparse
import functools
import operator
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from ruamel.yaml import YAML

REPRO = [sys.executable, "-m", "dvc", "repro"]
EXPERIMENT = [sys.executable, "-m", "dvc", "exp", "run"]
MEND = [sys.executable, "-m", "tools.mend"]
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


def forget_stage(stage: str, folder: Path) -> None:
    """Remove the stage's record, its outputs, and every record of earlier runs."""
    yaml = YAML()
    for file in (folder / name for name in LOCKS):
        lock = yaml.load(file)
        for output in lock["stages"].pop(stage, {}).get("outs", []):
            path = folder / output["path"]
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        yaml.dump(lock, file)
    for earlier in ("runs", "checkpoints"):
        shutil.rmtree(folder / ".dvc" / "cache" / earlier, ignore_errors=True)


def killed_after(seconds: float, stage: str, folder: Path, command: list[str] = REPRO) -> bool | None:
    """Start a command and kill it after so many seconds, in the stage or not; None where it had ended by then."""
    repro = subprocess.Popen(
        command,
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


def mended(folder: Path) -> int:
    """Do as a user would after a kill: `python -m tools.mend`. Returns how many things it mended."""
    done = subprocess.run(MEND, cwd=folder, env=environment(), capture_output=True, text=True)
    if done.returncode:
        sys.exit(done.stderr)
    result = re.search(r"mended: (\d+)", done.stderr)
    return int(result[1]) if result else 0


def kill_experiments(wanted: int, undisturbed: dict, folder: Path) -> None:
    """Kill `dvc exp run` in the workspace `wanted` times; branch, commit and lock files must be as before."""
    for command in (
        ["config", "user.name", "n"],
        ["config", "user.email", "n@n"],
        ["add", "-A"],
        ["commit", "-qm", "a"],
    ):
        quietly(["git", *command], folder)
    chance, n_mended, n_killed = random.Random(wanted), 0, 0
    while n_killed < wanted:
        seed = chance.randrange(10**6)
        command = [*EXPERIMENT, "-S", f"data.seed={seed}"]
        n_killed += killed_after(chance.uniform(SHORTEST, 20.0), "train_classifier", folder, command) is not None
        n_mended += mended(folder)
        quietly(["git", "checkout", "--quiet", "--", "."], folder)
        branch = subprocess.run(["git", "branch", "--show-current"], cwd=folder, capture_output=True, text=True).stdout
        if not branch.strip():
            sys.exit("git is on no branch")
    quietly(REPRO, folder)
    if locked(folder) != undisturbed:
        sys.exit("the lock files differ")
    print(f"dvc exp run: {n_killed} kills, ended with the same lock files; mended: {n_mended}", flush=True)


def kill_stage(stage: str, wanted: int, undisturbed: dict, folder: Path) -> None:
    """Kill one stage `wanted` times and compare the lock files; exits where they differ."""
    chance = random.Random(f"{stage}/{wanted}")
    forget_stage(stage, folder)
    began = time.monotonic()
    quietly(REPRO, folder)
    seconds = time.monotonic() - began
    kills = ends = damaged = 0
    while kills < wanted:
        forget_stage(stage, folder)
        killed: bool | None = True
        while kills < wanted and killed is not None:
            killed = killed_after(chance.uniform(SHORTEST, max(seconds, 2 * SHORTEST)), stage, folder)
            kills += killed is True
            damaged += mended(folder)
        quietly(REPRO, folder)
        ends += 1
        result = locked(folder)
        if different := [name for name in undisturbed if result.get(name) != undisturbed[name]]:
            print(result.get(different[0]), undisturbed[different[0]], sep="\n")
            sys.exit(f"{stage}: after {kills} kills {', '.join(different)} differ; above: now, undisturbed")
    said = f"; files of DVC's own mended: {damaged}" if damaged else ""
    print(f"{stage}: {seconds:.0f} s; {kills} kills, ended {ends} times with the same lock files{said}", flush=True)


def main() -> None:
    """Kill, repeat, compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("stages", nargs="*", metavar="STAGE", help="default: all that write something")
    parser.add_argument("--kills", type=int, default=3, help="of each stage (default: 3)")
    parser.add_argument("--experiments", type=int, default=0, help="kills of `dvc exp run` instead")
    parser.add_argument("--set", nargs="*", default=[], metavar="SECTION.KEY=VALUE", dest="settings")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "clone"
        clone(options.settings, folder)
        quietly(REPRO, folder)
        undisturbed = locked(folder)
        if options.experiments:
            kill_experiments(options.experiments, undisturbed, folder)
            return
        for stage in options.stages or [name for name, entry in undisturbed.items() if "outs" in entry]:
            kill_stage(stage, options.kills, undisturbed, folder)


if __name__ == "__main__":
    main()
