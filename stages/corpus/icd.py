"""ICD codes: the dot, and the fifty codes of MIMIC-III-50."""

from typing import Literal

Kind = Literal["diagnosis", "procedure"]

# The fixed list of Mullenbach et al. (2018).
# fmt: off
MIMIC_50 = (
    "401.9", "38.93", "428.0", "427.31", "414.01", "96.04", "96.6", "584.9", "250.00", "96.71", "272.4", "518.81",
    "99.04", "39.61", "599.0", "530.81", "96.72", "272.0", "285.9", "88.56", "244.9", "486", "38.91", "285.1",
    "36.15", "276.2", "496", "99.15", "995.92", "V58.61", "507.0", "038.9", "88.72", "585.9", "403.90", "311",
    "305.1", "37.22", "412", "33.24", "39.95", "287.5", "410.71", "276.1", "V45.81", "424.0", "45.13", "V15.82",
    "511.9", "37.23",
)
# fmt: on


def dotted(code: str, kind: Kind) -> str:
    """An ICD-9-CM code with its dot: `4019` is the diagnosis `401.9` and the procedure `40.19`.

    A diagnosis takes its dot after the third character, an external cause (E) after the fourth, a procedure after
    the second; there is none when nothing follows. A dot that is there already is set anew.
    """
    code = code.replace(".", "")
    category = 2 if kind == "procedure" else 4 if code.startswith("E") else 3
    return f"{code[:category]}.{code[category:]}" if len(code) > category else code
