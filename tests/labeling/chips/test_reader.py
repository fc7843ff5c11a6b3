"""Parquet files of chips whose footers or pages lie: refused in a sentence, in little memory."""

import gc
import re
import subprocess
import sys
import weakref

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from chip_factory import write_chips

from labeling.chips.card import CHIP_SCHEMA, read_card
from labeling.chips.check import check_chips
from labeling.chips.reader import ChipReader
from labeling.errors import ConfigError
from training.data.files import read_kinds, records
from training.data.store import ChipStore

SIZE = 32
BOMB = 1 << 26
POOLS = []
"""Kept: a thread of Arrow's may give a buffer back after a test's end, and crashes if its pool has gone."""


@pytest.fixture
def chips(tmp_path):
    return write_chips(tmp_path / "chips", train=3, val=0, size=SIZE)


@pytest.fixture
def file(chips):
    return next(chips.glob("split=train/*.parquet"))


@pytest.fixture(autouse=True)
def little_memory():
    """Fail a test in which Arrow took more than 16 MiB."""
    pool = pa.default_memory_pool()
    counted = pa.proxy_memory_pool(pool)
    POOLS.append(counted)
    pa.set_memory_pool(counted)
    yield counted
    pa.set_memory_pool(pool)
    assert (counted.max_memory() or 0) < 16 << 20


def test_a_reader_that_is_done_with_is_let_go(file):
    """Arrow keeps an error that it is given by a stream, and with it whoever was at work."""
    with ChipReader(file, SIZE) as chips:
        chips.column(0, 0)
        chips.read(0)
    known = weakref.ref(chips)
    del chips
    gc.collect()
    assert known() is None


READERS = {
    "training": lambda chips: [ChipStore(chips, "train")[index] for index in range(3)],
    "kinds": lambda chips: read_kinds(files(chips), SIZE),
    "sieve": lambda chips: list(records(files(chips), SIZE)),
    "check": lambda chips: check_chips(chips, read_card(chips)),
}


def files(chips):
    return sorted(chips.glob("split=train/*.parquet"))


def number(value, width=1):
    """A number as Thrift's compact protocol writes it, in at least `width` bytes."""
    value = value << 1 ^ value >> 63
    found = []
    while value or len(found) < width:
        found.append(value & 127 | 128)
        value >>= 7
    return bytes([*found[:-1], found[-1] & 127])


def footer(file, change):
    """Write a file's footer anew with what `change` makes of its bytes."""
    content = file.read_bytes()
    size = int.from_bytes(content[-8:-4], "little")
    old = content[-8 - size : -8]
    new = change(old)
    assert new != old
    file.write_bytes(content[: -8 - size] + new + len(new).to_bytes(4, "little") + content[-4:])


def rewritten(file, change=lambda row: row, **options):
    """Write the chips of a file anew, a row group each."""
    rows = [change(row) for row in pq.read_table(file).to_pylist()]
    with pq.ParquetWriter(file, CHIP_SCHEMA, compression="zstd", **options) as writer:
        for row in rows:
            writer.write_table(pa.Table.from_pylist([row], CHIP_SCHEMA))


def write_bomb(file, column="label"):
    """Give chips a column of zeros without end, in a process of its own: it takes memory."""
    code = f"""
import pyarrow as pa, pyarrow.parquet as pq
table = pq.read_table({str(file)!r})
with pq.ParquetWriter({str(file)!r}, table.schema, compression="zstd") as writer:
    for row in table.to_pylist():
        row[{column!r}] = bytes({BOMB}) if {column!r} in ("image", "label") else "0" * {BOMB}
        writer.write_table(pa.Table.from_pylist([row], table.schema))
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def modest(file, column):
    """Let a footer say that nothing is large."""
    metadata = pq.read_metadata(file)

    def change(content):
        for group in map(metadata.row_group, range(metadata.num_row_groups)):
            large = {group.total_byte_size} | {
                group.column(i).total_uncompressed_size for i in range(metadata.num_columns)
            }
            for size in large:
                if size > BOMB:
                    content = content.replace(number(size), number(1000, len(number(size))))
        return content

    footer(file, change)


def test_good_chips_are_read(chips):
    for read in READERS.values():
        read(chips)


@pytest.mark.parametrize("column", ["label", "image", "crs", "group"])
def test_a_footer_that_lies_about_its_pages_does_not_help(chips, file, column):
    write_bomb(file, column)
    modest(file, column)
    with (
        ChipReader(file, SIZE) as reader,
        pytest.raises(ConfigError, match=rf"chip 0 take {BOMB // 10**5}\d+"),
    ):
        reader.read(0)
    readers = {"sieve", "check"} if column in ("crs", "group") else {"training", "sieve", "check"}
    for name in readers:
        with pytest.raises(ConfigError, match="the pages of chip 0 take"):
            READERS[name](chips)


@pytest.mark.parametrize("count", [7, 10**6, 2**40, -1])
def test_a_value_of_a_dictionary_is_not_repeated_at_will(chips, file, count):
    column = pq.read_metadata(file).row_group(0).column(CHIP_SCHEMA.names.index("image"))
    sizes = b"\x16" + number(column.total_uncompressed_size) + b"\x16" + number(column.total_compressed_size)
    footer(file, lambda content: content.replace(b"\x16\x02" + sizes, b"\x16" + number(count) + sizes, 1))
    for name in ("training", "sieve", "check"):
        with pytest.raises(ConfigError, match="chip 0 has a column that cannot be"):
            READERS[name](chips)


def test_nor_are_chips_that_share_one(chips, file):
    table = pq.read_table(file)
    pq.write_table(pa.concat_tables([table.slice(0, 1)] * 1000).combine_chunks(), file)
    for read in READERS.values():
        with pytest.raises(ConfigError, match="does not keep one chip a row group"):
            read(chips)


def test_encodings_that_make_many_values_of_a_few_bytes_are_refused(chips, file):
    rewritten(file, use_dictionary=False, column_encoding={"label": "DELTA_BYTE_ARRAY"})
    for name in ("training", "sieve", "check"):
        with pytest.raises(ConfigError, match="chip 0 has pages that no chip has"):
            READERS[name](chips)


def test_a_footer_that_claims_a_million_row_groups_is_refused(chips, file):
    head = b"\x16" + number(3) + b"\x19"
    many = b"\xfc" + number(450_000)  # lengths have no sign: 900,000
    footer(file, lambda content: content.replace(head + b"\x3c", head + many, 1))
    for read in READERS.values():
        with pytest.raises(ConfigError, match="cannot read chips from"):
            read(chips)


def test_names_that_are_no_text_are_told(chips, file):
    footer(file, lambda content: content.replace(b"image", b"im\xffge"))
    for read in READERS.values():
        with pytest.raises(ConfigError, match=r"cannot read chips from .*utf-8"):
            read(chips)


def test_columns_at_which_arrow_would_end_the_process_are_refused(chips, file):
    as_numbers = re.compile(
        rb"\x15\x0c(.{2,4}\x18\x05image)", re.DOTALL
    )  # the type in the schema: 6, bytes; 2, int64
    footer(file, lambda content: as_numbers.sub(lambda found: b"\x15\x04" + found[1], content))
    told = "Unencoded byte array data bytes does not support INT64"
    for name, message in {"training": told, "sieve": told, "check": "has other columns or types"}.items():
        with pytest.raises(ConfigError, match=message):
            READERS[name](chips)


def test_a_column_whose_type_is_not_the_schemas_is_refused(chips, file):
    """Found by an hour of benchmarks.fuzz: asking for its statistics ended the process."""
    # The metadata of a chip's column: type, encodings and path. 6 are bytes, 7 bytes of a fixed length.
    chunk = re.compile(rb"\x15\x0c(\x19.{1,8}\x19\x18\x05group)", re.DOTALL)
    footer(file, lambda content: chunk.sub(lambda found: b"\x15\x0e" + found[1], content, count=1))
    with pytest.raises(ConfigError, match="holds FIXED_LEN_BYTE_ARRAY and its schema says BYTE_ARRAY"):
        READERS["check"](chips)


def test_a_page_without_a_value_is_no_chip(chips, file):
    column = pq.read_metadata(file).row_group(0).column(CHIP_SCHEMA.names.index("label"))
    content = bytearray(file.read_bytes())
    values = content.index(b"\x2c\x15\x02", column.data_page_offset) + 2
    content[values] = 0
    file.write_bytes(content)
    for name in ("training", "sieve", "check"):
        with pytest.raises(ConfigError, match="cannot read chips from"):
            READERS[name](chips)


@pytest.mark.parametrize("column", ["image", "label", "ignore_fraction"])
def test_a_column_of_another_name_is_missed(chips, file, column):
    footer(file, lambda content: content.replace(column.encode(), column[::-1].encode()))
    readers = {"kinds"} if column == "ignore_fraction" else {"training", "sieve"}
    for name in readers:
        with pytest.raises(ConfigError, match=rf"cannot read chips from .*(no column|match for).*{column}"):
            READERS[name](chips)


@pytest.mark.parametrize("column", ["image", "class_fractions"])
def test_a_column_of_another_type_is_refused(chips, file, column):
    as_text = {**pq.read_table(file).to_pydict(), column: ["ice"] * 3}
    rows = pa.table(as_text)
    with pq.ParquetWriter(file, rows.schema) as writer:
        for row in range(len(rows)):
            writer.write_table(rows.slice(row, 1))
    for name in {"kinds"} if column == "class_fractions" else {"training", "sieve"}:
        with pytest.raises(ConfigError, match=rf"cannot read chips from .*the column {column} holds string"):
            READERS[name](chips)
