"""Records → record batches of schema.CALLS, and counts of what was left out.

A batch that is clean is checked and converted column by column, in Arrow; a batch with anything odd in it
goes record by record through `rules`, which is slower and says what is odd and where. Both ways give the
same rows (a property test holds them together).
"""

from __future__ import annotations

import hmac
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from connectors.calls.rules import (
    COUNTS,
    FIELD_NAME,
    KNOWN,
    LARGEST_GPU_SECONDS,
    LONGEST_TEXT,
    OTHER_NAMES,
    OTHER_TIER,
    REQUIRED_TEXTS,
    TEXTS,
    Rejected,
    read_cost,
    read_count,
    read_gpu_seconds,
    read_status,
    read_text,
    read_tier,
    read_time,
    read_trace,
)
from connectors.schema import CALLS

LINE_NUMBERS_KEPT = 20
FIELD_NAMES_KEPT = 50
USERS_REMEMBERED = 200_000
FIRST_INSTANT, LAST_INSTANT = 1_420_070_400_000_000, 4_102_444_800_000_000  # 2015 and 2100, in µs
OUT_OF_ORDER_US = 3_600_000_000  # a call so far behind the newest one before it is out of order
LEAP_US = 24 * OUT_OF_ORDER_US  # a call so far ahead of the one before it may be of a wrong clock

Numbered = tuple[int, Mapping[str, Any]]  # line (or record) number in its file, and the record


class Projection:
    """Projects the records of one delivery, and counts what it leaves out.

    `hash_key`: of the users' ids; None drops them. `left_to_others`: (feature, provider) of calls that another
    source is the source of record for; None stands for any. `first_attempt`: the number of a first attempt, 0 or 1;
    where it is 1, an attempt 0 is taken for a first one and counted.
    """

    def __init__(
        self,
        hash_key: bytes | None,
        left_to_others: Sequence[tuple[str | None, str | None]] = (),
        *,
        first_attempt: int = 1,
    ) -> None:
        self._hash_key = hash_key
        self.first_attempt = first_attempt
        self._left_to_others = tuple(left_to_others)
        self._hashes: dict[str, str] = {}
        self._newest = 0  # of the calls before the last one
        self._last: int | None = None
        self._last_leaps = False
        self.lines = 0  # read so far
        self.calls = 0
        self.outcomes = 0
        self.pending = 0
        self._rejected: Counter[str] = Counter()
        self._rejected_at: dict[str, list[int]] = {}
        self._kept: Counter[str] = Counter()
        self._left_out: Counter[str] = Counter()
        self._dropped_fields: Counter[str] = Counter()
        self._user_ids = 0

    @property
    def hashes_users(self) -> bool:
        return self._hash_key is not None

    # ------------------------------------------------------------------------------------ what was found

    @property
    def rejected_lines(self) -> int:
        return self._rejected.total()

    def reject(self, reason: str, line_number: int | None = None) -> None:
        """Count a line that is no call; `line_number` defaults to the last one read."""
        self._rejected[reason] += 1
        numbers = self._rejected_at.setdefault(reason, [])
        if len(numbers) < LINE_NUMBERS_KEPT:
            numbers.append(self.lines if line_number is None else line_number)

    def leave_out(self, code: str, count: int = 1) -> None:
        """Count sound records that are not calls to be counted."""
        self._left_out[code] += count

    def keep(self, gap: str, count: int = 1) -> None:
        """Count calls that are kept though something of them is missing or odd."""
        self._kept[gap] += count

    def drop_fields(self, names: Iterable[str], count: int = 1) -> None:
        """Count fields that are not on the allow-list, by their names."""
        for name in sorted(set(names)):
            if not FIELD_NAME.fullmatch(name) or (
                name not in self._dropped_fields and len(self._dropped_fields) >= FIELD_NAMES_KEPT
            ):
                name = OTHER_NAMES
            self._dropped_fields[name] += count

    def reasons(self) -> list[str]:
        """Each reason with its count and first line numbers, the most frequent first."""
        texts: list[str] = []
        for reason, count in self._rejected.most_common():
            numbers = ", ".join(map(str, self._rejected_at[reason][:5]))
            texts.append(f"{reason}: {count}× (line {numbers}{', …' if count > 5 else ''})")
        return texts

    def report(self) -> bytes:
        """What was left out, as JSON: counts, reasons, line numbers and field names; no content."""
        report = {
            "lines": self.lines,
            "calls": self.calls,
            "outcomes": self.outcomes,
            "pending_lines": self.pending,
            "rejected": {
                reason: {"count": self._rejected[reason], "lines": self._rejected_at[reason]}
                for reason in self._rejected
            },
            "kept_with_gaps": dict(self._kept),
            "left_out": dict(self._left_out),
            "dropped_fields": dict(self._dropped_fields),
            "dropped_user_ids": 0 if self._hash_key else self._user_ids,
        }
        return json.dumps(report, sort_keys=True).encode()

    # ------------------------------------------------------------------------------------------ batches

    def project_records(self, records: Sequence[Numbered], user_hashes: pa.Array | None = None) -> pa.RecordBatch:
        """The calls among records in the events' words; what is odd is counted with its number. `user_hashes`: as
        `project_table` takes them."""
        table = _as_table([record for _, record in records])
        batch = None if table is None else self.project_table(table, user_hashes)
        if batch is not None:
            names = frozenset().union(*(record.keys() for _, record in records)) - KNOWN
            self._count_unknown(names, [record for _, record in records])
            return batch
        return self._project_rows(records, None if user_hashes is None else user_hashes.to_pylist())

    def project_table(self, table: pa.Table, user_hashes: pa.Array | None = None) -> pa.RecordBatch | None:
        """All rows of a table with the events' columns, when every one is clean; None, and nothing counted, else.

        Columns that are not on the allow-list are not looked at. `user_hashes`: what `hash_users` made of the
        rows' users, where many rows were hashed together; then the table need not have them.
        """
        columns: dict[str, pa.Array] = {}
        for name in TEXTS:
            text = _texts(table, name)
            if text is None or (name in REQUIRED_TEXTS and text.null_count):
                return None
            columns[name] = text
        for name, largest in COUNTS.items():
            counted = _counts(table, name, largest=largest)
            if counted is None:
                return None
            columns[name] = counted
        called_at = _instants(table)
        gpu_seconds = _seconds(table)
        costs = _costs(table)
        status, tiers = _texts(table, "status"), _texts(table, "pricing_tier")
        users = _texts(table, "user_id", longest=None) if user_hashes is None else user_hashes
        if called_at is None or gpu_seconds is None or costs is None:
            return None
        if status is None or tiers is None or users is None:
            return None
        columns |= {"called_at": called_at, "gpu_seconds": gpu_seconds, "logged_cost_usd": costs}
        columns["status"] = self._statuses(status)
        columns["pricing_tier"] = self._tiers(tiers)
        columns["user_hash"] = self.hash_users(users) if user_hashes is None else user_hashes
        self._user_ids += len(users) - users.null_count
        return self._finish(columns)

    def _project_rows(self, records: Iterable[Numbered], hashes: Sequence[str | None] | None) -> pa.RecordBatch:
        rows: list[dict[str, Any]] = []
        for place, (number, record) in enumerate(records):
            try:
                row: dict[str, Any] = {"called_at": read_time(record.get("time"))}
                row |= {name: read_text(record, name) for name in TEXTS if name != "trace_id"}
                row["trace_id"] = read_trace(record.get("trace_id"))
                row |= {name: read_count(record, name) for name in COUNTS}
                row["gpu_seconds"] = read_gpu_seconds(record.get("gpu_seconds"))
                row["logged_cost_usd"] = read_cost(record.get("logged_cost_usd"))
            except Rejected as rejected:
                self.reject(str(rejected), number)
                continue
            status = record.get("status")
            row["status"] = read_status(status)
            if status not in (None, "") and row["status"] is None:
                self.keep("unknown_status")
            row["pricing_tier"] = read_tier(record.get("pricing_tier"))
            if row["pricing_tier"] == OTHER_TIER:
                self.keep("unknown_pricing_tier")
            user = record.get("user_id")
            row["user_hash"] = (
                self._user_hash(str(user) if user.__class__ is int else user) if hashes is None else hashes[place]
            )
            self._count_unknown(record.keys() - KNOWN, [record])
            rows.append(row)
        return self._finish(
            {name: pa.array([row[name] for row in rows], CALLS.field(name).type) for name in CALLS.names}
        )

    def _finish(self, columns: Mapping[str, pa.Array]) -> pa.RecordBatch:
        columns = {**columns, "attempt": self._attempts(columns["attempt"])}
        arrays = [columns[name].cast(CALLS.field(name).type) for name in CALLS.names]
        # A trace that is the task itself says nothing more.
        trace, task = CALLS.get_field_index("trace_id"), CALLS.get_field_index("task_id")
        if arrays[trace].null_count < len(arrays[trace]):
            same = pc.fill_null(pc.equal(arrays[trace], arrays[task]), False)
            arrays[trace] = pc.if_else(same, pa.scalar(None, pa.string()), arrays[trace])
        batch = pa.RecordBatch.from_arrays(arrays, schema=CALLS)
        batch = self._leave_to_others(batch)
        self._count_order(batch.column("called_at"))
        for name in ("feature", "task_id"):
            if missing := batch.column(name).null_count:
                self.keep(f"no_{name}", missing)
        self.calls += batch.num_rows
        return batch

    def _attempts(self, attempts: pa.Array) -> pa.Array:
        """Numbered from 1."""
        if self.first_attempt == 0:
            return pc.add(attempts, 1)
        if zeros := pc.sum(pc.equal(attempts, 0)).as_py():
            self.keep("attempt_zero", zeros)
            return pc.max_element_wise(attempts, pa.scalar(1, attempts.type), skip_nulls=False)
        return attempts

    def _leave_to_others(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        for feature, provider in self._left_to_others:
            others: Any = pa.array(np.ones(batch.num_rows, dtype=bool))
            for name, value in (("feature", feature), ("provider", provider)):
                if value is not None:
                    equal = pc.fill_null(pc.equal(pc.utf8_lower(batch.column(name)), value.lower()), False)
                    others = pc.and_(others, equal)
            if count := pc.sum(others).as_py() or 0:
                self.leave_out("other_source_of_record", count)
                batch = batch.filter(pc.invert(others))
        return batch

    def _count_order(self, called_at: pa.Array) -> None:
        if not len(called_at):
            return
        before = [] if self._last is None else [self._last]
        instants = np.concatenate([np.array(before, np.int64), called_at.cast(pa.int64()).to_numpy()])
        # One clock that runs ahead puts no other call out of order: a leap that the next call takes back is no newest.
        leaps = np.concatenate([[self._last_leaps], np.diff(instants) > LEAP_US])
        is_back = instants[:-1] - instants[1:] > OUT_OF_ORDER_US
        newest = np.maximum.accumulate(np.where(leaps[:-1] & is_back, 0, instants[:-1]))
        newest = np.maximum(newest, self._newest)
        if behind := int((newest - instants[1:] > OUT_OF_ORDER_US).sum()):
            self.keep("out_of_order", behind)
        self._newest = int(newest[-1]) if len(newest) else 0
        self._last, self._last_leaps = int(instants[-1]), bool(leaps[-1])

    def _count_unknown(self, names: Iterable[str], records: Sequence[Mapping[str, Any]]) -> None:
        for name in names:
            if count := sum(record.get(name) is not None for record in records):
                self.drop_fields([name], count)

    # ------------------------------------------------------------------------------- statuses and users

    def _statuses(self, status: pa.Array) -> pa.Array:
        encoded = status.dictionary_encode()
        words = encoded.dictionary.to_pylist()
        known = pa.array([read_status(word) for word in words], pa.string())
        found = known.take(encoded.indices)
        if odd := found.null_count - status.null_count:
            self.keep("unknown_status", odd)
        return found

    def _tiers(self, tiers: pa.Array) -> pa.Array:
        encoded = tiers.dictionary_encode()
        words = [read_tier(word) for word in encoded.dictionary.to_pylist()]
        found = pa.array(words, pa.string()).take(encoded.indices)
        if odd := pc.sum(pc.equal(found, OTHER_TIER)).as_py():
            self.keep("unknown_pricing_tier", odd)
        return found

    def hash_users(self, users: pa.Array) -> pa.Array:
        """The hash of each user's id; null without a key. The more rows at once, the fewer users are looked up."""
        if self._hash_key is None or users.null_count == len(users):
            return pa.nulls(len(users), pa.string())
        encoded = users if pa.types.is_dictionary(users.type) else users.dictionary_encode()
        ids = encoded.dictionary.to_pylist()
        hashes = list(map(self._hashes.get, ids))
        if None in hashes:
            hashes = [known or (self._hash(user) if user else None) for user, known in zip(ids, hashes, strict=True)]
        return pa.array(hashes, pa.string()).take(encoded.indices)

    def _user_hash(self, user: Any) -> str | None:
        if user.__class__ is not str or not user:
            return None
        self._user_ids += 1
        return self._hash(user)

    def _hash(self, user: str) -> str | None:
        """HMAC-SHA256 of the id under the key, 32 hex digits; None without a key."""
        if self._hash_key is None:
            return None
        known = self._hashes.get(user)
        if known is None:
            digest = hmac.digest(self._hash_key, user.encode("utf-8", "surrogatepass"), "sha256")
            if len(self._hashes) >= USERS_REMEMBERED:
                self._hashes.clear()
            known = self._hashes[user] = digest.hex()[:32]
        return known


# --------------------------------------------------------------------------------------------- columns
# Each returns an array of its column over all rows (nulls where the table has no such column), or None
# when a value needs the careful way.


def _column(table: pa.Table, name: str) -> pa.Array | None:
    if name not in table.column_names:
        return None
    column = table.column(name)
    array = column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()
    if isinstance(array, pa.ChunkedArray):  # what combine_chunks gives for no chunk at all
        array = pa.concat_arrays(array.chunks) if array.num_chunks else pa.nulls(0, column.type)
    return None if array.null_count == len(array) else array


def _texts(table: pa.Table, name: str, *, longest: int | None = LONGEST_TEXT) -> pa.Array | None:
    array = _column(table, name)
    if array is None:
        return pa.nulls(table.num_rows, pa.string())
    if pa.types.is_dictionary(array.type) or pa.types.is_large_string(array.type):
        array = array.cast(pa.string())
    if not pa.types.is_string(array.type):
        return None
    lengths = pc.utf8_length(array)
    if longest is not None and pc.max(lengths).as_py() > longest:
        return None
    if pc.min(lengths).as_py() == 0:
        array = pc.if_else(pc.equal(array, ""), pa.scalar(None, pa.string()), array)
    return array


def _counts(table: pa.Table, name: str, *, largest: int) -> pa.Array | None:
    array = _column(table, name)
    if array is None:
        return pa.nulls(table.num_rows, pa.int64())
    if pa.types.is_floating(array.type) and name == "latency_ms":
        if not pc.all(pc.is_finite(array)).as_py():
            return None
        array = pc.round(array)  # half to even, as Python rounds
    if not (pa.types.is_integer(array.type) or pa.types.is_floating(array.type) or pa.types.is_decimal(array.type)):
        return None
    try:
        array = array.cast(pa.int64())
    except pa.ArrowInvalid:
        return None
    bounds = pc.min_max(array).as_py()
    return array if bounds["min"] >= 0 and bounds["max"] <= largest else None


def _instants(table: pa.Table) -> pa.Array | None:
    array = _column(table, "time")
    if array is None:
        return None if table.num_rows else pa.array([], CALLS.field("called_at").type)
    if array.null_count:
        return None
    try:
        if pa.types.is_string(array.type):
            array = array.cast(pa.timestamp("ns", "UTC"))  # nine digits of a second are read, six are kept
        elif pa.types.is_timestamp(array.type):
            array = pc.assume_timezone(array, "UTC") if array.type.tz is None else array
        else:
            return None
        array = array.cast(pa.timestamp("us", "UTC"), safe=False)
    except pa.ArrowInvalid:
        return None
    bounds = pc.min_max(array.cast(pa.int64())).as_py()
    return array if bounds["min"] >= FIRST_INSTANT and bounds["max"] < LAST_INSTANT else None


def _seconds(table: pa.Table) -> pa.Array | None:
    array = _column(table, "gpu_seconds")
    if array is None:
        return pa.nulls(table.num_rows, pa.float64())
    if not (pa.types.is_floating(array.type) or pa.types.is_integer(array.type)):
        return None
    array = array.cast(pa.float64())
    if not pc.all(pc.is_finite(array)).as_py():
        return None
    bounds = pc.min_max(array).as_py()
    return array if bounds["min"] >= 0 and bounds["max"] <= LARGEST_GPU_SECONDS else None


def _costs(table: pa.Table) -> pa.Array | None:
    kind = CALLS.field("logged_cost_usd").type
    array = _column(table, "logged_cost_usd")
    if array is None:
        return pa.nulls(table.num_rows, kind)
    try:
        return pa.array([read_cost(value) for value in array.to_pylist()], kind)
    except Rejected:
        return None


_TYPES: Mapping[str, tuple[frozenset[type], pa.DataType | None]] = {
    **{name: (frozenset({str, type(None)}), pa.string()) for name in (*TEXTS, "status", "pricing_tier", "user_id")},
    **{name: (frozenset({int, type(None)}), pa.int64()) for name in COUNTS},
    "gpu_seconds": (frozenset({int, float, type(None)}), pa.float64()),
}


def _as_table(records: Sequence[Mapping[str, Any]]) -> pa.Table | None:
    """Records as columns, where every value has the type that its column should have; None else."""
    columns: dict[str, pa.Array] = {}
    try:
        for name, (types, kind) in _TYPES.items():
            values = [record.get(name) for record in records]
            if not set(map(type, values)) <= types:
                return None
            columns[name] = pa.array(values, kind)
        instants = [read_time(record.get("time")) for record in records]
        columns["time"] = pa.array(instants, pa.timestamp("us", "UTC"))
        costs = [read_cost(record.get("logged_cost_usd")) for record in records]
        columns["logged_cost_usd"] = pa.array(costs, CALLS.field("logged_cost_usd").type)
    except (Rejected, pa.ArrowInvalid, OverflowError, UnicodeEncodeError):
        return None
    return pa.table(columns)
