"""Tables of texts from Parquet files: their texts on disk, so that memory does not grow with them."""

import mmap
from pathlib import Path
from tempfile import TemporaryFile

import pandas as pd
import pyarrow
from pyarrow import ipc, parquet

READ_TOGETHER = 2**11  # rows
BUFFER = 2**18  # bytes


def read_mapped(path: Path) -> pd.DataFrame:
    """The table that `pandas.read_parquet` gives, its texts mapped from a temporary file without a name.

    What pandas reads takes three times the memory of its texts for a moment, and that of its texts for as long as it is
    there; of what is mapped the kernel may take back every page.
    """
    with TemporaryFile() as file:
        with (
            parquet.ParquetFile(path, buffer_size=BUFFER, pre_buffer=False) as source,
            ipc.new_file(file, source.schema_arrow) as arrow,
        ):
            for batch in source.iter_batches(READ_TOGETHER):
                arrow.write(batch)
        file.flush()
        mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    return ipc.open_file(pyarrow.py_buffer(mapped)).read_all().to_pandas()
