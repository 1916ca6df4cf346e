"""How metrics and tables are shown: tables.yaml."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from stages.common import outside

SPECIFIED = Path(__file__).with_name("tables.yaml")
SPECIFICATION = outside.parse_yaml(outside.read_text(SPECIFIED), SPECIFIED)


@dataclass(frozen=True)
class Metric:
    """A metric's title, better direction, and display factor and digits."""

    title: str
    better: Literal["higher", "lower"] = "higher"
    factor: float = 100
    digits: int = 1

    def format(self, value: float, sign: str = "") -> str:
        return f"{value * self.factor:{sign}.{self.digits}f}"


METRICS = {name: Metric(**shown) for name, shown in SPECIFICATION["metrics"].items()}
