"""The form of what stages write: equal content gives equal bytes, under every release of Python.

Every stage that writes through here depends on this module, as what it does decides the bytes of that stage's outputs.
"""

import io
import json
import math
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp

from stages.project.errors import InputError
from stages.project.files import whole_file


class NotFinite(ValueError):
    """A figure that is no number: some input of its computation was none."""


def stable(value: Any, digits: int = 6) -> Any:
    """`value` with every float rounded to `digits` significant digits and NumPy scalars made plain.

    A float that is not finite has no JSON form; it raises NotFinite.
    """
    if isinstance(value, dict):
        return {str(key): stable(item, digits) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [stable(item, digits) for item in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float):
        if not math.isfinite(value):
            raise NotFinite(f"{value} cannot be stored as JSON")
        return float(f"{value:.{digits}g}")
    return value


def write_json(path: Path, value: Any, digits: int = 6) -> None:
    """Write `value` as JSON with sorted keys and floats of `digits` significant digits.

    Raises InputError for a float that is not finite.
    """
    with whole_file(path) as partial:
        try:
            text = json.dumps(stable(value, digits), sort_keys=True, indent=2, ensure_ascii=False)
        except NotFinite as error:
            raise InputError(f"{path}: {error}; an input of this stage holds numbers that are not finite") from None
        partial.write_text(text + "\n", encoding="utf-8")


def write_parquet(path: Path, table: pd.DataFrame) -> None:
    """Write a table as parquet, without its index."""
    with whole_file(path) as partial:
        table.to_parquet(partial, index=False)


def write_csv(path: Path, table: pd.DataFrame) -> None:
    """Write a table as CSV with a header and floats of six significant digits, without its index."""
    with whole_file(path) as partial:
        table.to_csv(partial, index=False, float_format="%.6g", lineterminator="\n")


def write_csr(path: Path, matrix: sp.csr_array) -> None:
    """Write a sparse matrix as `.npz`, with sorted indices and without pickle.

    The archive that scipy makes is packed anew, since releases of Python write its headers differently.
    """
    matrix = sp.csr_array(matrix)
    matrix.sort_indices()
    made = io.BytesIO()
    sp.save_npz(made, matrix, compressed=False)
    with whole_file(path) as partial, zipfile.ZipFile(made) as given, zipfile.ZipFile(partial, "w") as archive:
        for name in given.namelist():
            archive.writestr(zipfile.ZipInfo(name), given.read(name))


def read_csr(path: Path) -> sp.csr_array:
    """Read a sparse matrix that `write_csr` wrote."""
    return sp.csr_array(sp.load_npz(path))
