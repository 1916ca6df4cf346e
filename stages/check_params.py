"""Check params.yaml before any work is done: DVC runs this first whenever the file has changed."""

from stages.project import params
from stages.project.stage import run

if __name__ == "__main__":
    run(params.load)
