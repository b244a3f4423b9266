#!/usr/bin/env python3
"""Writes tests/data/archive: a small forecast archive with index files, and what ecCodes reads from it.

    make_demo_archive.py [-o tests/data/archive] [--check]

Four products, as their centres lay them out (packing, templates, names of files, words of index lines):

| folder | like | grid | packing | what is in it |
|---|---|---|---|---|
| gfs.20261122/  | NOAA GFS | 3 degree, from 90 N 0 E | complex, second-order differences | 3 runs, steps 0 3 6 9 12 |
| gefs.20261122/ | NOAA GEFS | the same | the same | control and 2 members, steps 0 6 12 |
| ecmwf/         | ECMWF open data, ensemble | 3 degree, from 90 N 180 E | CCSDS | control and 3 members, steps 0 6 |
| hrrr.20261122/ | NOAA HRRR | Lambert conformal, 45 x 27 | complex; one constant field, simple | 1 run, steps 0 1 2 |

Made to be awkward where real archives are:
* analyses have no accumulations and no averages: true gaps, and so is the whole of gfs 06z f009, which is missing (GRIB and index);
* APCP comes twice in each gfs file: as a bucket since the last multiple of 6 h and as the run's total. At f003 and f006 both are the same
  message under equal words, byte for byte; from f009 on they differ;
* gefs has the bucket alone; WTMP has a bitmap (sea only); the control of the ecmwf set has no `number` in its index lines;
* the last message of each `.idx` file is open-ended, as in all of them.

The fields are no weather: smooth waves, travelling vortices and a day's warming, with plausible values and units. Runs and members differ by
small shifts of phase. Values are rounded before packing, so the bytes do not hang on the last bit of a sine. The same ecCodes gives the same
bytes each time: `--check` makes all of it again in memory and compares.

`manifest.json` is read back from the written bytes by ecCodes: names, window, level, member, statistics and samples per message, and
the hash of the values as little-endian float32, missing ones as 0x7fc00000.
"""

import argparse
import datetime as dt
import hashlib
import json
import pathlib
import sys

import eccodes as ec
import numpy as np

DAY = dt.datetime(2026, 11, 22)
NI, NJ, DEGREES = 120, 61, 3.0
LAMBERT = dict(nx=45, ny=27, dx=120_000, lat1=21.138, lon1=237.28, lad=38.5, lov=262.5)
KWBC, ECMF = 7, 98


# ---------------------------------------------------------------- the fields: functions of place and time

def globe(first_longitude):
    lat = np.radians(90.0 - DEGREES * np.arange(NJ))[:, None] * np.ones((1, NI))
    lon = np.radians(first_longitude + DEGREES * np.arange(NI))[None, :] * np.ones((NJ, 1))
    return lat, lon


def sphere_bump(lat, lon, lat0, lon0, width):
    """exp(-(d/width)^2) of the great-circle distance d, all in degrees."""
    lat0, lon0 = np.radians(lat0), np.radians(lon0)
    cosine = np.sin(lat) * np.sin(lat0) + np.cos(lat) * np.cos(lat0) * np.cos(lon - lon0)
    return np.exp(-(np.degrees(np.arccos(np.clip(cosine, -1, 1))) / width) ** 2)


# latitude, longitude at time 0, degrees per hour eastward, depth in Pa, width in degrees
VORTICES = [(52, 330, 1.1, 3200, 14), (45, 160, 0.9, 2600, 12), (-55, 40, 1.3, 3800, 15),
            (-50, 250, 1.2, 3000, 13), (18, 135, -0.4, 2400, 7), (38, 265, 0.8, 1800, 11)]


class Weather:
    """One forecast: a run and a member; `t` counts hours from the first run, `shift` is how this forecast errs."""

    def __init__(self, lat, lon, shift):
        self.lat, self.lon, self.shift = lat, lon, shift

    def wave(self, m, k, speed, phase, t):
        return np.cos(m * self.lon - np.radians(speed) * m * t + phase + self.shift * m * 0.05) * np.cos(self.lat) ** k

    def lows(self, t):
        for lat0, lon0, speed, depth, width in VORTICES:
            yield lat0 + 0.05 * t + self.shift, lon0 + (speed + 0.02 * self.shift) * t, depth, width

    def prmsl(self, t):
        p = 101_300 + 350 * np.cos(4 * self.lat) + 300 * self.wave(2, 2, 0.3, 0.4, t) + 260 * self.wave(5, 3, 0.7, 2.1, t)
        for lat0, lon0, depth, width in self.lows(t):
            p = p - depth * sphere_bump(self.lat, self.lon, lat0, lon0, width)
        return p

    def t2m(self, t):
        sun = np.cos(self.lon + np.radians(15.0 * (t - 13.0)))
        return (300 - 48 * np.sin(self.lat) ** 2 - 7 * np.sin(self.lat) + (1 + 5 * self.land()) * sun * np.cos(self.lat)
                + 3.5 * self.wave(3, 1, 0.5, 1.0, t) + 2 * self.wave(7, 2, 0.9, 0.2, t))

    def land(self):
        """0 at sea, 1 on land, with a soft coast: continents of our own."""
        h = (0.9 * np.cos(self.lon - 0.4) * np.cos(self.lat - 0.5) + 0.7 * np.cos(2 * self.lon + 2.3) * np.cos(self.lat)
             + 0.4 * np.sin(3 * self.lon + 1.0) * np.sin(2 * self.lat) - 0.15)
        return 1 / (1 + np.exp(-6 * h))

    def wind(self, t, level):
        """Zonal jets and flow round the lows, stronger aloft; level in hPa."""
        aloft = 0.35 + 1.3 * (1000 - level) / 750
        jet = 22 * np.sin(2 * self.lat) ** 2 * np.cos(self.lat)
        u = aloft * (jet - 5 * np.cos(3 * self.lat) + 5 * self.wave(4, 1, 0.6, 0.9, t))
        v = aloft * (6 * self.wave(4, 1, 0.6, 0.9 + np.pi / 2, t) + 3 * self.wave(6, 1, 0.8, 2.5, t))
        for lat0, lon0, depth, width in self.lows(t):
            bump = sphere_bump(self.lat, self.lon, lat0, lon0, width)
            turn = np.sign(lat0) * depth / 160 * aloft
            north = np.degrees(self.lat) - lat0
            east = (np.degrees(self.lon) - lon0 + 180) % 360 - 180
            u = u - turn * bump * north / width
            v = v + turn * bump * east * np.cos(self.lat) / width
        return u, v

    def gh(self, t, level):
        h = {850: 1480, 500: 5650, 250: 10_500}[level]
        drop = {850: 350, 500: 900, 250: 1500}[level]
        p = (self.prmsl(t) - 101_300) / 100
        return h - drop * np.sin(self.lat) ** 2 + 8.0 * p * (0.4 + level / 1400) + drop / 12 * self.wave(3, 1, 0.5, 1.0, t)

    def t(self, t, level):
        base, drop = {850: (290, 38), 500: (266, 30), 250: (230, 10)}[level]
        return base - drop * np.sin(self.lat) ** 2 + 3 * self.wave(3, 1, 0.5, 1.0, t) + 1.5 * self.wave(5, 2, 0.7, 2.1, t)

    def moisture(self, t):
        """-1 dry to about 1.5 wet: what humidity, cloud and rain follow."""
        m = 0.5 * np.cos(6 * self.lat) * np.cos(self.lat) + 0.45 * self.wave(4, 1, 0.6, 0.3, t) + 0.3 * self.wave(9, 1, 0.8, 1.7, t)
        for lat0, lon0, depth, width in self.lows(t):
            m = m + depth / 2600 * sphere_bump(self.lat, self.lon, lat0 + 2, lon0 + 4, width * 0.8)
        return m

    def r2(self, t):
        return np.clip(68 + 26 * self.moisture(t) - 14 * self.land(), 4, 100)

    def cloud(self, t):
        return np.clip(45 + 60 * self.moisture(t), 0, 100)

    def mean_cloud(self, start, end):
        hours = np.arange(start, end + 0.5)
        return sum(self.cloud(h) for h in hours) / len(hours)

    def rain(self, start, end):
        """Millimetres that fall between two hours."""
        total = np.zeros_like(self.lat)
        for h in np.arange(start + 0.5, end):
            total = total + 1.8 * np.maximum(self.moisture(h) - 0.55, 0)
        return total

    def water_temperature(self, t):
        sea = 302 - 32 * np.sin(self.lat) ** 2 - 1.5 * np.sin(self.lat) + 0.8 * self.wave(3, 2, 0.02, 0.6, t)
        return np.where(self.land() > 0.5, np.nan, np.maximum(sea, 271.2))


# ---------------------------------------------------------------- messages

class Parameter:
    """Numbers, surface and words of one parameter."""

    def __init__(self, numbers, surface, words, bits, decimals, paramid=None):
        self.numbers, self.surface, self.words = numbers, surface, words
        self.bits, self.decimals, self.paramid = bits, decimals, paramid


SURFACE, SEA, ATMOSPHERE = (1, None), (101, None), (10, None)
PRMSL = Parameter((0, 3, 1), SEA, ("PRMSL", "mean sea level"), 11, 0)
T2M = Parameter((0, 0, 0), (103, 2), ("TMP", "2 m above ground"), 11, 2)
R2 = Parameter((0, 1, 1), (103, 2), ("RH", "2 m above ground"), 9, 1)
U10 = Parameter((0, 2, 2), (103, 10), ("UGRD", "10 m above ground"), 11, 2)
V10 = Parameter((0, 2, 3), (103, 10), ("VGRD", "10 m above ground"), 11, 2)
APCP = Parameter((0, 1, 8), SURFACE, ("APCP", "surface"), 10, 2)
TCDC = Parameter((0, 6, 1), ATMOSPHERE, ("TCDC", "entire atmosphere"), 9, 1)
WTMP = Parameter((10, 3, 0), SURFACE, ("WTMP", "surface"), 11, 2)
CFRZR = Parameter((0, 1, 193), SURFACE, ("CFRZR", "surface"), 0, 0)


def on_level(name, numbers, level, bits, decimals):
    return Parameter(numbers, (100, level * 100), (name, f"{level} mb"), bits, decimals)


def set_grid(h, kind):
    if kind == "lambert":
        g = LAMBERT
        for key, value in [("Nx", g["nx"]), ("Ny", g["ny"]), ("shapeOfTheEarth", 6), ("latitudeOfFirstGridPointInDegrees", g["lat1"]),
                           ("longitudeOfFirstGridPointInDegrees", g["lon1"]), ("LaDInDegrees", g["lad"]), ("LoVInDegrees", g["lov"]),
                           ("DxInMetres", g["dx"]), ("DyInMetres", g["dx"]), ("Latin1InDegrees", g["lad"]), ("Latin2InDegrees", g["lad"]),
                           ("resolutionAndComponentFlags", 8), ("scanningMode", 64)]:
            ec.codes_set(h, key, value)
        return
    first = 180.0 if kind == "ecmwf" else 0.0
    for key, value in [("Ni", NI), ("Nj", NJ), ("shapeOfTheEarth", 6), ("resolutionAndComponentFlags", 48), ("scanningMode", 0),
                       ("latitudeOfFirstGridPointInDegrees", 90.0), ("latitudeOfLastGridPointInDegrees", -90.0),
                       ("longitudeOfFirstGridPointInDegrees", first),
                       ("longitudeOfLastGridPointInDegrees", (first + 360.0 - DEGREES) % 360.0),
                       ("iDirectionIncrementInDegrees", DEGREES), ("jDirectionIncrementInDegrees", DEGREES)]:
        ec.codes_set(h, key, value)


def message(grid, parameter, values, run, step, statistic=None, start=None, member=None, members=0, kind=None):
    """One GRIB2 message. `statistic` 0 average, 1 accumulation over `start` to `step` hours; `kind` is code table 4.6."""
    h = ec.codes_grib_new_from_samples("GRIB2")
    put = lambda key, value: ec.codes_set(h, key, value)
    put("gridType", "lambert" if grid == "lambert" else "regular_ll")
    ecmwf = grid == "ecmwf"
    put("centre", ECMF if ecmwf else KWBC)
    put("subCentre", 0)
    put("tablesVersion", 2)
    put("localTablesVersion", 0 if ecmwf else 1)
    put("significanceOfReferenceTime", 1)
    put("productionStatusOfProcessedData", 0)
    put("typeOfProcessedData", 1 if member is None else (3 if kind == 1 else 4))
    put("dataDate", int(run.strftime("%Y%m%d")))
    put("dataTime", run.hour * 100)
    set_grid(h, grid)
    put("productDefinitionTemplateNumber", {(True, True): 0, (True, False): 1, (False, True): 8, (False, False): 11}[statistic is None, member is None])
    if ecmwf:
        put("setLocalDefinition", 1)
        put("localDefinitionNumber", 1)
        put("class", "od")
        put("type", "cf" if member == 0 else "pf")
        put("stream", "enfo")
        put("expver", "0001")
    if parameter.paramid:
        put("paramId", parameter.paramid)
    for key, value in zip(("discipline", "parameterCategory", "parameterNumber"), parameter.numbers):
        put(key, value)
    put("typeOfGeneratingProcess", 2 if member is None else 4)
    put("backgroundProcess", 0)
    put("generatingProcessIdentifier", 155 if ecmwf else {"lambert": 83}.get(grid, 96 if member is None else 107))
    put("typeOfFirstFixedSurface", parameter.surface[0])
    if parameter.surface[1] is None:
        if not ecmwf:
            put("scaleFactorOfFirstFixedSurface", 0)
            put("scaledValueOfFirstFixedSurface", 0)
    else:
        put("scaleFactorOfFirstFixedSurface", 0)
        put("scaledValueOfFirstFixedSurface", parameter.surface[1])
    put("typeOfSecondFixedSurface", 255)
    if member is not None:
        put("typeOfEnsembleForecast", kind)
        put("perturbationNumber", member)
        put("numberOfForecastsInEnsemble", members)
    put("indicatorOfUnitOfTimeRange", 1)
    if statistic is None:
        put("forecastTime", step)
    else:
        put("typeOfStatisticalProcessing", statistic)
        put("stepRange", f"{start}-{step}")
    flat = np.round(values, parameter.decimals).ravel()
    missing = np.isnan(flat)
    if missing.any():
        put("bitmapPresent", 1)
        put("missingValue", 1e20)
        flat = np.where(missing, 1e20, flat)
    if parameter.bits == 0:
        put("packingType", "grid_simple")
    elif ecmwf:
        put("packingType", "grid_ccsds")
        put("bitsPerValue", parameter.bits)
    else:
        # With a decimal precision instead of a number of bits, ecCodes packs a constant here without a word.
        ec.codes_set_values(h, np.linspace(0, 1, flat.size))
        put("packingType", "grid_complex_spatial_differencing")
        put("orderOfSpatialDifferencing", 2)
        put("bitsPerValue", parameter.bits)
    ec.codes_set_values(h, flat)
    bytes_ = ec.codes_get_message(h)
    ec.codes_release(h)
    return bytes_


def instant_words(step):
    return "anl" if step == 0 else f"{step} hour fcst"


def window_words(start, step, word):
    if start % 24 == 0 and step % 24 == 0:
        return f"{start // 24}-{step // 24} day {word} fcst"
    return f"{start}-{step} hour {word} fcst"


class Inventory:
    """One GRIB file and its `.idx`, as wgrib2 prints it."""

    def __init__(self, run, tail=""):
        self.run, self.tail, self.body, self.lines = run, tail, bytearray(), []

    def add(self, parameter, words, bytes_):
        name, level = parameter.words
        self.lines.append(f"{len(self.lines) + 1}:{len(self.body)}:d={self.run:%Y%m%d%H}:{name}:{level}:{words}:{self.tail}")
        self.body += bytes_

    def files(self, path):
        return {path: bytes(self.body), path + ".idx": ("\n".join(self.lines) + "\n").encode()}


# ---------------------------------------------------------------- the four products

def hours(run):
    return (run - DAY).total_seconds() / 3600


def gfs():
    files = {}
    lat, lon = globe(0)
    for number, hour in enumerate((0, 6, 12)):
        run = DAY + dt.timedelta(hours=hour)
        weather = Weather(lat, lon, 0.9 * (1 - number))
        for step in (0, 3, 6, 9, 12):
            if (hour, step) == (6, 9):
                continue
            t, out = hours(run) + step, Inventory(run)

            def instant(parameter, values):
                out.add(parameter, instant_words(step), message("gfs", parameter, values, run, step))

            def window(parameter, values, statistic, start):
                out.add(parameter, window_words(start, step, ("ave", "acc")[statistic]),
                        message("gfs", parameter, values, run, step, statistic, start))

            instant(PRMSL, weather.prmsl(t))
            for level in (250, 500, 850):
                instant(on_level("HGT", (0, 3, 5), level, 11, 1), weather.gh(t, level))
                instant(on_level("TMP", (0, 0, 0), level, 10, 2), weather.t(t, level))
                instant(on_level("UGRD", (0, 2, 2), level, 10, 2), weather.wind(t, level)[0])
            instant(T2M, weather.t2m(t))
            instant(R2, weather.r2(t))
            u, v = weather.wind(t, 1000)
            instant(U10, u)
            instant(V10, v)
            if step > 0:
                bucket = (step - 1) // 6 * 6
                window(APCP, weather.rain(t - step + bucket, t), 1, bucket)
                window(APCP, weather.rain(t - step, t), 1, 0)
                window(TCDC, weather.mean_cloud(t - step + bucket, t), 0, bucket)
            instant(WTMP, weather.water_temperature(t))
            files |= out.files(f"gfs.{run:%Y%m%d}/{hour:02d}/atmos/gfs.t{hour:02d}z.pgrb2.3p00.f{step:03d}")
    return files


def gefs():
    files = {}
    lat, lon = globe(0)
    run = DAY
    for member, name in enumerate(("gec00", "gep01", "gep02")):
        weather = Weather(lat, lon, (0.0, 1.4, -1.7)[member])
        ensemble = dict(member=member, members=30, kind=1 if member == 0 else 3)
        tail = "ENS=low-res ctl" if member == 0 else f"ENS=+{member}"
        for step in (0, 6, 12):
            out = Inventory(run, tail)
            out.add(T2M, instant_words(step), message("gefs", T2M, weather.t2m(step), run, step, **ensemble))
            if step > 0:
                start = step - 6
                out.add(APCP, window_words(start, step, "acc"),
                        message("gefs", APCP, weather.rain(start, step), run, step, 1, start, **ensemble))
            files |= out.files(f"gefs.{run:%Y%m%d}/00/atmos/pgrb2ap5/{name}.t00z.pgrb2a.3p00.f{step:03d}")
    return files


def ecmwf():
    files = {}
    lat, lon = globe(180)
    run = DAY
    t2 = Parameter((0, 0, 0), (103, 2), ("2t", None), 12, 2)
    tp = Parameter((0, 1, 193), SURFACE, ("tp", None), 12, 5, paramid=228)
    for step in (0, 6):
        body, lines = bytearray(), []
        for member in (1, 2, 3, 0):
            weather = Weather(lat, lon, (0.2, 1.2, -1.5, 2.1)[member])
            fields = [("2t", None, t2, weather.t2m(step))]
            for level in (850, 500):
                fields.append(("u", level, on_level("u", (0, 2, 2), level, 11, 2), weather.wind(step, level)[0]))
            if step > 0:
                fields.append(("tp", None, tp, weather.rain(0, step) / 1000))
            for name, level, parameter, values in fields:
                ensemble = dict(member=member, members=51, kind=1 if member == 0 else 3)
                window = dict(statistic=1, start=0) if name == "tp" else {}
                bytes_ = message("ecmwf", parameter, values, run, step, **window, **ensemble)
                line = {"domain": "g", "date": f"{run:%Y%m%d}", "time": f"{run:%H}00", "expver": "0001", "class": "od",
                        "type": "cf" if member == 0 else "pf", "stream": "enfo", "step": str(step), "levtype": "pl" if level else "sfc"}
                if level:
                    line["levelist"] = str(level)
                if member:
                    line["number"] = str(member)
                lines.append(json.dumps(line | {"param": name, "_offset": len(body), "_length": len(bytes_)}))
                body += bytes_
        stem = f"ecmwf/{run:%Y%m%d}/00z/ifs/3p00/enfo/{run:%Y%m%d}000000-{step}h-enfo-ef"
        files |= {stem + ".grib2": bytes(body), stem + ".index": ("\n".join(lines) + "\n").encode()}
    return files


def lambert_points():
    """Latitude and longitude of the Lambert grid, roughly (for the fields only; ecCodes says where the points are)."""
    g, radius = LAMBERT, 6_371_229.0
    lad, lov = np.radians(g["lad"]), np.radians(g["lov"])
    n = np.sin(lad)
    f = np.cos(lad) * np.tan(np.pi / 4 + lad / 2) ** n / n
    rho = lambda lat: radius * f / np.tan(np.pi / 4 + lat / 2) ** n
    rho0, rho1 = rho(lad), rho(np.radians(g["lat1"]))
    theta1 = n * (np.radians(g["lon1"]) - lov)
    x = rho1 * np.sin(theta1) + g["dx"] * np.arange(g["nx"])[None, :]
    y = rho0 - rho1 * np.cos(theta1) + g["dx"] * np.arange(g["ny"])[:, None]
    distance = np.hypot(x, rho0 - y)
    lat = 2 * np.arctan((radius * f / distance) ** (1 / n)) - np.pi / 2
    return lat, lov + np.arctan2(x, rho0 - y) / n


def hrrr():
    files = {}
    lat, lon = lambert_points()
    run = DAY + dt.timedelta(hours=12)
    weather = Weather(lat, lon, 0.5)
    for step in (0, 1, 2):
        t, out = hours(run) + step, Inventory(run)
        u, v = weather.wind(t, 1000)
        for parameter, values in [(T2M, weather.t2m(t)), (U10, u), (V10, v), (CFRZR, np.zeros_like(lat))]:
            out.add(parameter, instant_words(step), message("lambert", parameter, values, run, step))
        files |= out.files(f"hrrr.{run:%Y%m%d}/conus/hrrr.t12z.wrfsfcf{step:02d}.grib2")
    return files


# ---------------------------------------------------------------- the truth, read back

def grid_facts(h):
    names = ["gridType", "numberOfDataPoints", "scanningMode"]
    lambert = ec.codes_get(h, "gridType") == "lambert"
    names += ["Nx", "Ny"] if lambert else ["Ni", "Nj"]
    facts = {name: ec.codes_get(h, name) for name in names}
    lats, lons = ec.codes_get_array(h, "latitudes"), ec.codes_get_array(h, "longitudes")
    last = len(lats) - 1
    facts["points"] = [[i, round(float(lats[i]), 9), round(float(lons[i]), 9)] for i in (0, 1, last // 2, last - 1, last)]
    return facts


def field_facts(h):
    get = lambda key: ec.codes_get(h, key)
    stamp = f"{get('dataDate'):08d}{get('dataTime'):04d}"
    facts = {key: get(key) for key in ("shortName", "cfVarName", "units", "typeOfLevel", "level", "stepType", "packingType")}
    facts["run"] = dt.datetime.strptime(stamp, "%Y%m%d%H%M").strftime("%Y-%m-%dT%H:%M:%S")
    facts["window"] = [3600 * get("startStep"), 3600 * get("endStep")]
    facts["member"] = get("perturbationNumber") if ec.codes_is_defined(h, "perturbationNumber") else None
    values = ec.codes_get_values(h)
    missing = np.zeros(values.size, bool)
    if get("bitmapPresent"):
        missing = values == get("missingValue")
    single = values.astype("<f4")
    single[missing] = np.frombuffer(b"\0\0\xc0\x7f", "<f4")[0]
    kept = values[~missing]
    facts |= {"count": values.size, "missing": int(missing.sum()), "sha256_f32": hashlib.sha256(single.tobytes()).hexdigest()}
    facts |= {name: float(np.float32(f(kept))) for name, f in (("mean", np.mean), ("min", np.min), ("max", np.max))}
    at = [k * (values.size - 1) // 7 for k in range(8)]
    facts["samples"] = [[i, None if missing[i] else float(single[i])] for i in at]
    return facts


def manifest(files):
    grids, messages = [], []
    for key in sorted(files):
        if key.endswith((".idx", ".index")):
            continue
        body, offset = files[key], 0
        while offset < len(body):
            length = int.from_bytes(body[offset + 8:offset + 16], "big")
            h = ec.codes_new_from_message(body[offset:offset + length])
            facts = grid_facts(h)
            if facts not in grids:
                grids.append(facts)
            messages.append({"key": key, "offset": offset, "length": length, "grid": grids.index(facts)} | field_facts(h))
            ec.codes_release(h)
            offset += length
    rows = lambda items: ",\n".join("  " + json.dumps(item) for item in items)
    head = json.dumps({"made_by": "scripts/make_demo_archive.py", "eccodes": ec.codes_get_api_version()})
    return (head[:-1] + f',\n "grids": [\n{rows(grids)}\n ],\n "messages": [\n{rows(messages)}\n ]}}\n').encode()


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("-o", "--out", type=pathlib.Path, default=pathlib.Path(__file__).parent.parent / "tests/data/archive")
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 if what is there differs")
    args = parser.parse_args()
    files = gfs() | gefs() | ecmwf() | hrrr()
    files["manifest.json"] = manifest(files)
    differing = []
    for key, body in sorted(files.items()):
        path = args.out / key
        if args.check:
            if not path.exists() or path.read_bytes() != body:
                differing.append(key)
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(body)
    if args.check:
        print(f"{len(files)} files, {len(differing)} differ", *differing, sep="\n  ")
        return 1 if differing else 0
    for top in sorted({key.split("/")[0] for key in files}):
        mine = [len(body) for key, body in files.items() if key.split("/")[0] == top]
        print(f"{top}: {len(mine)} files, {sum(mine):,} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
