#!/usr/bin/env python3
"""Writes tests/data/product_cases.json: section 4 of every product template as ecCodes makes it, with what it holds.

Needs the eccodes wheel. Each case sets every key that its template has to a value of its own, so that an octet read from
the wrong place shows. Run: python3 scripts/make_product_cases.py
"""

import json
import pathlib

import eccodes

TEMPLATES = [*range(0, 16), 20, 31, 32, 33, 34, *range(40, 50), 51, 53, 54, 55, 56, 57, 58, 59, 60, 61, 67, 68,
             *range(70, 74), 91, *range(103, 109)]

# Counts first: they move what follows. Then values.
SET = [
    ("NB", 2), ("NC", 3), ("NP", 2), ("numberOfCategories", 2), ("numberOfPartitions", 3), ("numberOfModeOfDistribution", 2),
    ("numberOfDistributionFunctionParameters", 2), ("numberOfTimeRanges", 1),
    ("typeOfGeneratingProcess", 4), ("generatingProcessIdentifier", 81),
    ("indicatorOfUnitForForecastTime", 1), ("forecastTime", 18),
    ("typeOfFirstFixedSurface", 100), ("scaleFactorOfFirstFixedSurface", -2), ("scaledValueOfFirstFixedSurface", 500),
    ("typeOfSecondFixedSurface", 103), ("scaleFactorOfSecondFixedSurface", 1), ("scaledValueOfSecondFixedSurface", 25),
    ("typeOfEnsembleForecast", 3), ("perturbationNumber", 7), ("numberOfForecastsInEnsemble", 51),
    ("derivedForecast", 4), ("percentileValue", 30),
    ("forecastProbabilityNumber", 2), ("totalNumberOfForecastProbabilities", 5), ("probabilityType", 1),
    ("scaleFactorOfLowerLimit", 2), ("scaledValueOfLowerLimit", 123),
    ("scaleFactorOfUpperLimit", 3), ("scaledValueOfUpperLimit", 254),
    ("constituentType", 62001), ("aerosolType", 62001),
    ("yearOfEndOfOverallTimeInterval", 2026), ("monthOfEndOfOverallTimeInterval", 11),
    ("dayOfEndOfOverallTimeInterval", 23), ("hourOfEndOfOverallTimeInterval", 3),
    ("minuteOfEndOfOverallTimeInterval", 0), ("secondOfEndOfOverallTimeInterval", 0),
    ("typeOfStatisticalProcessing", 2), ("indicatorOfUnitForTimeRange", 1), ("lengthOfTimeRange", 3),
]

READ = [key for key, _ in SET[8:]]


def sections(message):
    """Number of a section -> its bytes."""
    found, at = {}, 16
    while message[at:at + 4] != b"7777":
        length = int.from_bytes(message[at:at + 4], "big")
        found[message[at + 4]] = message[at:at + length]
        at += length
    return found


def get(handle, key):
    try:
        if eccodes.codes_is_missing(handle, key):
            return None
        return eccodes.codes_get_long(handle, key)
    except eccodes.CodesInternalError:
        return None


def case(template):
    handle = eccodes.codes_grib_new_from_samples("GRIB2")
    eccodes.codes_set(handle, "dataDate", 20261122)
    eccodes.codes_set(handle, "dataTime", 600)
    eccodes.codes_set(handle, "productDefinitionTemplateNumber", template)
    for key, value in SET:
        try:
            eccodes.codes_set_long(handle, key, value)
        except eccodes.CodesInternalError:
            pass  # not a key of this template
    found = sections(eccodes.codes_get_message(handle))
    holds = {key: get(handle, key) for key in READ}
    return {
        "template": template,
        "section1": found[1].hex(),
        "section4": found[4].hex(),
        "holds": {key: value for key, value in holds.items() if value is not None},
    }


def main():
    target = pathlib.Path(__file__).parent.parent / "tests" / "data" / "product_cases.json"
    cases = [case(template) for template in TEMPLATES]
    rows = ",\n".join(json.dumps(one) for one in cases)
    target.write_text(f"[\n{rows}\n]\n")
    print(f"{len(cases)} templates -> {target}")


if __name__ == "__main__":
    main()
