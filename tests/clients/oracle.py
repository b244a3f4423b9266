"""The truth, by ecCodes alone: every field of GRIB files, and the arrays that the mount must show for them.

Knows GRIB through ecCodes and the rules of the stores as they are documented; shares no code with gribfs. Files are cut into
messages by their own length octets. Only messages of one field on a regular latitude-longitude or a Lambert grid are `plain`, which is what
the mount promises so far; what it does with others is for it to say.
"""

import collections
import dataclasses
import datetime as dt
import hashlib
import pathlib

import eccodes as ec
import numpy as np

MOST_POINTS = 50_000_000
LEVEL_AXES = {"isobaricInhPa", "isobaricInPa"}
HAS_VALUE = {20, 100, 102, 103, 104, 105, 106, 107, 108, 109}  # surface types of code table 4.5 that carry a value


@dataclasses.dataclass
class Field:
    """One field as ecCodes reads it. Times in seconds, values in the order of the store: rows along x, as coded otherwise."""

    path: pathlib.Path
    offset: int
    length: int
    number: tuple  # discipline, category, number, centre
    short_name: str
    cf_name: str
    type_of_level: str
    surface: tuple  # type and value of the first surface, value None
    level: float
    step_type: str
    reference: int
    window: tuple | None  # None where the unit has no fixed length
    member: int | None
    template: int
    grid: str
    plain: bool
    why_not: str
    sha256: str = ""
    nan: int = 0
    latitudes: np.ndarray | None = None
    longitudes: np.ndarray | None = None
    values: np.ndarray | None = None
    slack: tuple = (0.0, 0.0)
    radius: float | None = None  # of the earth in metres, where it is a sphere

    @property
    def step(self):
        return None if self.window is None else self.window[1]

    @property
    def name(self):
        return (f"{self.path.name}@{self.offset} {self.short_name} {self.type_of_level} {self.level} {self.step_type} "
                f"{dt.datetime.fromtimestamp(self.reference, dt.UTC):%Y%m%d%H}+{self.window} member {self.member}")


def messages(body):
    """(offset, length, edition, number of fields) of the whole GRIB2 messages of a file, by their own lengths."""
    at = body.find(b"GRIB")
    while at >= 0:
        edition = body[at + 7] if at + 16 <= len(body) else 0
        length = int.from_bytes(body[at + 8:at + 16], "big") if edition == 2 else 0
        if edition != 2 or length < 20 or body[at + length - 4:at + length] != b"7777":
            at = body.find(b"GRIB", at + 4)
            continue
        fields, section = 0, at + 16
        while section < at + length - 4:
            size = int.from_bytes(body[section:section + 4], "big")
            fields += body[section + 4] == 7
            if size < 5:
                break
            section += size
        yield at, length, edition, fields
        at = body.find(b"GRIB", at + length)


def get(h, key, default=None):
    try:
        if ec.codes_is_missing(h, key):
            return default
        return ec.codes_get(h, key)
    except ec.CodesInternalError:
        return default


def window_seconds(h):
    try:
        ec.codes_set(h, "stepUnits", "s")
        return int(ec.codes_get_long(h, "startStep")), int(ec.codes_get_long(h, "endStep"))
    except ec.CodesInternalError:
        return None


def in_store_order(flat, ni, nj, scanning):
    """Values in message order as an array of rows along x: alternating rows and j-consecutive order undone, directions kept."""
    if scanning & 0x20:
        lines = flat.reshape(ni, nj)
        if scanning & 0x10:
            lines = lines.copy()
            lines[1::2] = lines[1::2, ::-1]
        return np.ascontiguousarray(lines.T)
    rows = flat.reshape(nj, ni)
    if scanning & 0x10:
        rows = rows.copy()
        rows[1::2] = rows[1::2, ::-1]
    return rows


def slack(h, ni, nj):
    """By how many degrees of latitude and of longitude the coded ends of a grid and its increments disagree.

    Increments are coded in micro-degrees, so 1/6 degree over 300 rows misses the coded end by 1e-4; some grids contradict themselves outright.
    ecCodes adds up increments along latitude and divides between the ends along longitude; within this, either is right.
    """
    degrees = lambda name: get(h, name + "InDegrees")
    dj, di = degrees("jDirectionIncrement"), degrees("iDirectionIncrement")
    high = abs(degrees("latitudeOfFirstGridPoint") - degrees("latitudeOfLastGridPoint"))
    east = (degrees("longitudeOfLastGridPoint") - degrees("longitudeOfFirstGridPoint")) % 360
    return (0.0 if dj is None else abs(dj * (nj - 1) - high),
            0.0 if di is None else min(abs(di * (ni - 1) % 360 - way) for way in (east, -east % 360)))


def surface(h):
    kind = get(h, "typeOfFirstFixedSurface", 255)
    kind = int(kind) if str(kind).isdigit() else ec.codes_get_long(h, "typeOfFirstFixedSurface")
    factor, scaled = get(h, "scaleFactorOfFirstFixedSurface"), get(h, "scaledValueOfFirstFixedSurface")
    if kind not in HAS_VALUE or factor is None or scaled is None:
        return kind, None
    return kind, float(f"{scaled}e{-factor}")


def read_field(path, body, offset, length, fields, keep_values):
    h = ec.codes_new_from_message(body[offset:offset + length])
    try:
        grid = get(h, "gridType", "unknown")
        why_not = ""
        if fields != 1:
            why_not = f"{fields} fields in one message"
        elif grid not in ("regular_ll", "lambert"):
            why_not = f"grid {grid}"
        elif ec.codes_get_size(h, "values") > MOST_POINTS:
            why_not = "too many points"
        date, time, second = ec.codes_get(h, "dataDate"), ec.codes_get(h, "dataTime"), get(h, "second", 0) or 0
        reference = dt.datetime(date // 10_000, date // 100 % 100, date % 100, time // 100, time % 100, min(second, 59), tzinfo=dt.UTC)
        field = Field(path=path, offset=offset, length=length,
                      number=tuple(ec.codes_get(h, k) for k in ("discipline", "parameterCategory", "parameterNumber")) + (ec.codes_get_long(h, "centre"),),
                      short_name=get(h, "shortName", "unknown"), cf_name=get(h, "cfVarName", "unknown"), type_of_level=get(h, "typeOfLevel", "unknown"),
                      surface=surface(h), level=float(get(h, "level", 0) or 0), step_type=get(h, "stepType", "instant"),
                      reference=int(reference.timestamp()), window=None, member=None,
                      template=ec.codes_get(h, "productDefinitionTemplateNumber"), grid=grid, plain=not why_not, why_not=why_not)
        if ec.codes_is_defined(h, "perturbationNumber"):
            field.member = get(h, "perturbationNumber")
        if not why_not:
            ni, nj = (get(h, "Nx"), get(h, "Ny")) if grid == "lambert" else (get(h, "Ni"), get(h, "Nj"))
            scanning = ec.codes_get(h, "scanningMode")
            # Not by `bitmapPresent`: complex packing can carry missing values of its own.
            ec.codes_set(h, "missingValue", 1e36)
            values = ec.codes_get_values(h)
            missing = values == 1e36
            if ni is None or nj is None or ni * nj != values.size:
                field.plain, field.why_not = False, f"{values.size} values on a grid of {ni} x {nj}"
            else:
                single = np.where(missing, 0, values).astype("<f4")
                single.view("<u4")[missing] = 0x7FC00000
                single = np.ascontiguousarray(in_store_order(single, ni, nj, scanning))
                field.sha256, field.nan = hashlib.sha256(single.tobytes()).hexdigest(), int(missing.sum())
                if keep_values:
                    field.values = single
                try:
                    # ecCodes gives values of alternating rows as coded, but the coordinates as if no row were turned.
                    field.latitudes = in_store_order(ec.codes_get_array(h, "latitudes"), ni, nj, scanning & ~0x10)
                    field.longitudes = in_store_order(ec.codes_get_array(h, "longitudes"), ni, nj, scanning & ~0x10)
                    field.radius = ec.codes_get_double(h, "radius") if ec.codes_get(h, "shapeOfTheEarth") in (0, 1, 6, 8) else None
                    field.slack = slack(h, ni, nj) if grid == "regular_ll" else (0.0, 0.0)
                except ec.CodesInternalError:
                    pass  # a grid section that contradicts itself: ecCodes has no coordinates
        field.window = window_seconds(h)
        return field
    finally:
        ec.codes_release(h)


def read_files(paths, keep_values=False):
    """All fields of some files, in order."""
    fields = []
    for path in map(pathlib.Path, paths):
        body = path.read_bytes()
        for offset, length, _edition, count in messages(body):
            try:
                fields.append(read_field(path, body, offset, length, count, keep_values))
            except (ec.CodesInternalError, ValueError) as error:
                fields.append(Field(path, offset, length, (), "?", "?", "?", (255, None), 0, "?", 0, None, None, 0, "?", False, f"ecCodes: {error}"))
    return fields


def grib_files(folder):
    return sorted(path for path in folder.rglob("*") if path.is_file() and path.suffix not in (".idx", ".index", ".json", ".jsonl", ".bin"))


# ---------------------------------------------------------------- the arrays that must be there

Cell = collections.namedtuple("Cell", "reference start step member level")


def bucket_seconds(window):
    """6 h for windows such as 6-9 and 6-12: the period after which accumulation starts anew, if it does."""
    start, end = window
    return None if start == 0 else start if end - start <= start else end - start


def arrays(fields):
    """Name -> {cell: field}, by the documented rules, for the parameters of our archives.

    Names with a level inside (t2m, u10) and levels without a value have no level axis, isobaric ones have. Accumulations that always
    start with the run are `tp`; once some window of a product starts later, the ones since the last reset are `tp_bucket6h`,
    early windows stand in both, and `tp` is left out where it would hold nothing else.
    """
    kinds = collections.defaultdict(list)
    for field in fields:
        kinds[(field.cf_name, field.type_of_level, field.step_type)].append(field)
    named = {}
    for (name, type_of_level, step_type), members in kinds.items():
        def cell(field):
            level = field.level if type_of_level in LEVEL_AXES else None
            return Cell(field.reference, field.window[0], field.window[1], field.member, level)

        if step_type != "accum":
            named[name if step_type == "instant" else (name, f"{name}_{step_type}")] = {cell(f): f for f in members}
            continue
        if members[0].number == (0, 1, 52, 98):
            # ECMWF's local (0, 1, 193) is `tp` in metres; this one, in kg m-2, must not share its array.
            name = f"{name}_p0_1_52"
        period = min((f.window[0] for f in members if f.window[0] > 0), default=None)
        total = {cell(f): f for f in members if f.window[0] == 0}
        if period is None:
            named[name] = total
            continue
        bucket = {cell(f): f for f in members if f.window[0] == (f.window[1] - 1) // period * period}
        named[f"{name}_bucket{period // 3600}h"] = bucket
        if set(total) - set(bucket):
            named[name] = total
    return named


def best(cells, takes=lambda cell: True):
    """BestAvailable of one array: valid time -> {cell: field} of the newest run whose cell is complete over levels and members.

    `takes` says which cells count at all.
    """
    whole = len({(cell.member, cell.level) for cell in cells})
    by_time = collections.defaultdict(lambda: collections.defaultdict(dict))
    for cell, field in cells.items():
        if not takes(cell):
            continue
        by_time[cell.reference + cell.step][cell.reference][cell] = field
    chosen = {}
    for valid, runs in by_time.items():
        complete = [reference for reference, some in runs.items() if len(some) == whole]
        if complete:
            chosen[valid] = runs[max(complete)]
    return chosen


def is_run_total(name, cells):
    """Accumulations from the start of the run, which BestAvailable leaves out."""
    return isinstance(name, str) and not name.endswith("h") and any(field.step_type == "accum" for field in cells.values())
