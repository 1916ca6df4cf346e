"""Kill a stage again and again, and see whether it still ends as if it had never been killed.

    python -m benchmarks.kills train_classifier --kills 20
    python -m benchmarks.kills evaluate --kills 3 --set demo.admissions=300 train.epochs=3

In a clone of the repository in a temporary folder, `dvc repro` runs once undisturbed. Then what the stage left is
removed, and `dvc repro` is started and killed (kill -9, all its processes) after a random time, over and over, until it
has been killed often enough or has ended. A last run ends undisturbed. dvc.lock must then be what it was.
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

from ruamel.yaml import YAML

REPRO = [sys.executable, "-m", "dvc", "repro"]
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


def locked(folder: Path) -> dict:
    """What dvc.lock says of each stage."""
    return YAML(typ="safe").load(folder / "dvc.lock")["stages"]


def forget_stage(stage: str, folder: Path) -> None:
    """Remove the stage's record, its outputs, and every record of earlier runs."""
    yaml = YAML()
    lock = yaml.load(folder / "dvc.lock")
    for output in lock["stages"].pop(stage)["outs"]:
        path = folder / output["path"]
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    yaml.dump(lock, folder / "dvc.lock")
    shutil.rmtree(folder / ".dvc" / "cache" / "runs", ignore_errors=True)


def killed_after(seconds: float, folder: Path) -> bool:
    """Start `dvc repro` and kill it after so many seconds; False where it had ended by then."""
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
        return False
    except subprocess.TimeoutExpired:
        os.killpg(repro.pid, signal.SIGKILL)
        repro.wait()
        return True


def main() -> None:
    """Kill, repeat, compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("stage")
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--set", nargs="*", default=[], metavar="SECTION.KEY=VALUE", dest="settings")
    parser.add_argument(
        "--longest", type=float, help="seconds before a kill at most (default: half of the stage's time)"
    )
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    chance = random.Random(options.seed)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "clone"
        clone(options.settings, folder)
        quietly(REPRO, folder)
        undisturbed = locked(folder)
        forget_stage(options.stage, folder)
        began = time.monotonic()
        quietly(REPRO, folder)
        seconds = time.monotonic() - began
        print(f"{options.stage}: {seconds:.0f} s undisturbed")
        longest = options.longest or max(2 * SHORTEST, seconds / 2)
        kills = 0
        while kills < options.kills:
            forget_stage(options.stage, folder)
            while kills < options.kills and killed_after(chance.uniform(SHORTEST, longest), folder):
                kills += 1
            quietly(REPRO, folder)
            found = locked(folder)
            if different := [name for name in undisturbed if found.get(name) != undisturbed[name]]:
                print(found.get(different[0]), undisturbed[different[0]], sep="\n")
                sys.exit(f"{kills} kills so far: dvc.lock differs for {', '.join(different)}; above: now, undisturbed")
            print(f"{kills} kills so far: dvc.lock is the same", flush=True)


if __name__ == "__main__":
    main()
