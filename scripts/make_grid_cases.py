#!/usr/bin/env python3
"""Writes tests/data/grid_cases.json: section 3 of projected grids on every shape of the earth, and where ecCodes puts points.

Needs the eccodes wheel. Both hemispheres, one and two standard parallels, oblique and polar. Run: python3 scripts/make_grid_cases.py
"""

import json
import pathlib

import eccodes

EARTHS = [{"shapeOfTheEarth": shape} for shape in (0, 2, 4, 5, 6, 8)] + [
    {"shapeOfTheEarth": 1, "scaleFactorOfRadiusOfSphericalEarth": 1, "scaledValueOfRadiusOfSphericalEarth": 63712000},
    {"shapeOfTheEarth": 3, "scaleFactorOfEarthMajorAxis": 3, "scaledValueOfEarthMajorAxis": 6378169,
     "scaleFactorOfEarthMinorAxis": 3, "scaledValueOfEarthMinorAxis": 6356584},
    {"shapeOfTheEarth": 7, "scaleFactorOfEarthMajorAxis": 2, "scaledValueOfEarthMajorAxis": 637739716,
     "scaleFactorOfEarthMinorAxis": 2, "scaledValueOfEarthMinorAxis": 635607896},
]

NI, NJ = 31, 17
# ecCodes walks 3.20 and 3.30 northwards whatever the flags say, so the flags say so too.
UP = {"Nx": NI, "Ny": NJ, "iScansNegatively": 0, "jScansPositively": 1, "jPointsAreConsecutive": 0}


def polar(south, true_scale, first, orientation):
    return 20, {**UP, "latitudeOfFirstGridPoint": first[0], "longitudeOfFirstGridPoint": first[1], "LaD": true_scale,
                "orientationOfTheGrid": orientation, "Dx": 50000000, "Dy": 60000000,
                "projectionCentreFlag": 128 if south else 0}


def lambert(parallels, origin, first, central):
    return 30, {**UP, "latitudeOfFirstGridPoint": first[0], "longitudeOfFirstGridPoint": first[1], "LaD": origin, "LoV": central,
                "Dx": 25000000, "Dy": 30000000, "Latin1": parallels[0], "Latin2": parallels[1],
                "projectionCentreFlag": 128 if origin < 0 else 0}


def mercator(true_scale, first, last):
    return 10, {**UP, "latitudeOfFirstGridPoint": first[0], "longitudeOfFirstGridPoint": first[1], "LaD": true_scale,
                "latitudeOfLastGridPoint": last[0], "longitudeOfLastGridPoint": last[1], "orientationOfTheGrid": 0,
                "Di": 25000000, "Dj": 30000000}


def azimuthal(centre, first):
    return 140, {**UP, "jScansPositively": 0, "latitudeOfFirstGridPoint": first[0], "longitudeOfFirstGridPoint": first[1],
                 "standardParallel": centre[0], "centralLongitude": centre[1], "Dx": 50000000, "Dy": 60000000}


def space_view(longitude, below, corner=(0, 0), size=(24, 15)):
    """The whole disc, about; `below` in thousandths of a cell, `corner` in cells."""
    return 90, {**UP, "jScansPositively": 0, "latitudeOfSubSatellitePoint": 0, "longitudeOfSubSatellitePoint": longitude,
                "dx": size[0], "dy": size[1], "Xp": below[0], "Yp": below[1], "Xo": corner[0], "Yo": corner[1],
                "orientationOfTheGrid": 0, "Nr": 6610700}


DEG = 1000000
GRIDS = [
    polar(False, 60 * DEG, (35 * DEG, 220 * DEG), 255 * DEG),
    polar(False, 90 * DEG, (55 * DEG, 300 * DEG), 330 * DEG),
    polar(True, -71 * DEG, (-45 * DEG, 250 * DEG), 0),
    polar(True, -90 * DEG, (-50 * DEG, 100 * DEG), 140 * DEG),
    lambert((38500000, 38500000), 38500000, (21 * DEG, 237 * DEG), 262500000),
    lambert((46 * DEG, 49 * DEG), 47500000, (42 * DEG, 8 * DEG), 13 * DEG),
    lambert((33 * DEG, 60 * DEG), 40 * DEG, (25 * DEG, 350 * DEG), 10 * DEG),
    lambert((-30 * DEG, -50 * DEG), -40 * DEG, (-45 * DEG, 130 * DEG), 140 * DEG),
    lambert((-25 * DEG, -25 * DEG), -25 * DEG, (-35 * DEG, 280 * DEG), 300 * DEG),
    mercator(20 * DEG, (15 * DEG, 198 * DEG), (20 * DEG, 206 * DEG)),
    mercator(-5 * DEG, (-20 * DEG, 100 * DEG), (-15 * DEG, 110 * DEG)),
    azimuthal((52 * DEG, 10 * DEG), (65 * DEG, 350 * DEG)),
    azimuthal((90 * DEG, 0), (70 * DEG, 315 * DEG)),
    azimuthal((-90 * DEG, 20 * DEG), (-70 * DEG, 315 * DEG)),
    space_view(0, (15000, 8000)),
    space_view(-75200000, (14500, 8250), size=(30, 17)),
    space_view(140700000, (1500000, 1900500), corner=(1490, 1895), size=(90, 60)),
]


def section3(message):
    at = 16
    while message[at + 4] != 3:
        at += int.from_bytes(message[at:at + 4], "big")
    return message[at:at + int.from_bytes(message[at:at + 4], "big")]


def case(earth, template, keys):
    handle = eccodes.codes_grib_new_from_samples("GRIB2")
    eccodes.codes_set(handle, "gridDefinitionTemplateNumber", template)
    for key, value in {**earth, **keys}.items():
        eccodes.codes_set_long(handle, key, value)
    eccodes.codes_set_long(handle, "numberOfDataPoints", NI * NJ)
    eccodes.codes_set_values(handle, [0.0] * (NI * NJ))
    whole = eccodes.codes_get_message(handle)
    again = eccodes.codes_new_from_message(whole)
    latitudes, longitudes = (eccodes.codes_get_double_array(again, key) for key in ("latitudes", "longitudes"))
    points = [[k, latitudes[k], longitudes[k]] for k in range(0, NI * NJ, 41)]
    return {"section3": section3(whole).hex(), "kind": eccodes.codes_get(again, "gridType"), "points": points}


def main():
    cases, left = [], []
    for earth in EARTHS:
        for template, keys in GRIDS:
            try:
                cases.append(case(earth, template, keys))
            except eccodes.CodesInternalError as error:
                left.append((earth["shapeOfTheEarth"], template, str(error)))
    target = pathlib.Path(__file__).parent.parent / "tests" / "data" / "grid_cases.json"
    rows = ",\n".join(json.dumps(one) for one in cases)
    target.write_text(f"[\n{rows}\n]\n")
    print(f"{len(cases)} grids -> {target}; not made: {left}")


if __name__ == "__main__":
    main()
