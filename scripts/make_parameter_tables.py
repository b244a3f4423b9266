#!/usr/bin/env python3
"""Writes src/grib/tables/{facts,rules,demands,homonyms,levels,centres}.tsv and tests/data/naming_cases.tsv from ecCodes.

    python scripts/make_parameter_tables.py            # needs `pip install eccodes`; about 10 minutes on 2 cores
    python scripts/make_parameter_tables.py --check    # recomputes, compares, writes nothing; exit 1 on a difference

What ecCodes calls a field depends on more than the parameter numbers: on the level (2 m: `2t`), the statistic, the
constituent, the centre, for ECMWF on the tables version. Which combinations are worth a question is learnt from the
conditions that lie inside the library; every answer comes from ecCodes itself, by setting the keys of a message and
reading it back. What is kept is the smallest list of (conditions -> answer) per parameter that gives the same answers.

Left out on purpose: window lengths (`mx2t6` is `mx2t` at another length: a name must not depend on it), satellite
channels, wave period bands, sizes of aerosols, reference datasets, spectral numbers.

rules.tsv   scope, discipline, category, number, rules. Scope `*`: any centre; `7`: centre 7 instead of `*`; `98old`:
            centre 98 with tables version <= 33. A rule is `conditions=fact`, conditions are letters with a number:
            a, b type of first, second surface; x, y their values (factor:scaled); s statistic; g generating process;
            l local tables version; c constituent; k chem or aero; p probability type; q lower limit. The rule with the
            most conditions that hold wins. A scope that lists a parameter hides the wider scope's rules for it.
facts.tsv   paramId, shortName, cfVarName (empty: the shortName; `p`: p and the paramId), name and units (empty: those of
            the line above; `.`: no units), cfName (empty: unknown). Or paramId, `avg` `max` `min` `std`, line of the fact whose statistic
            over time it is. A fact's number is its line, from 0; 0 is `unknown`.
levels.tsv  scope, first type, second type (* any), values of both (factor:scaled or empty), typeOfLevel.
demands.tsv scope, cfVarName, level type and step type that every rule of that name asks for.
homonyms.tsv scopes, discipline, category, number, cfVarName: this parameter must not bear the bare name at this centre.
centres.tsv number, abbreviation.
"""
import collections
import functools
import itertools
import os
import pickle
import random
import re
import sys
from multiprocessing import Pool
from pathlib import Path

import eccodes as ec

ROOT = Path(__file__).resolve().parent.parent
TABLES = ROOT / "src/grib/tables"
CASES = ROOT / "tests/data/naming_cases.tsv"
FIELDS = ("paramId", "shortName", "cfVarName", "name", "units", "cfName")
UNKNOWN = (0, "unknown", "unknown", "unknown", "unknown", "unknown")
# Scope -> centre and tables version to ask with. Other centres have no tables of their own in ecCodes, but for 80 and 86,
# whose many local parameters are rarely met.
SCOPES = {"*": (255, 35), "98": (98, 35), "98old": (98, 33), "7": (7, 35), "78": (78, 35), "74": (74, 35),
          "82": (82, 35), "85": (85, 35), "94": (94, 35)}
FOLDERS = {"7": "kwbc", "78": "edzw", "74": "egrr", "82": "eswi", "85": "lfpw", "94": "ekmi"}
# Condition letters of numbers that stand alone.
PLAIN = {"typeOfFirstFixedSurface": "a", "typeOfSecondFixedSurface": "b", "typeOfStatisticalProcessing": "s",
         "typeOfGeneratingProcess": "g", "localTablesVersion": "l", "probabilityType": "p"}
TEMPLATES = {(0, 0, ""): 0, (1, 0, ""): 8, (0, 1, ""): 5, (1, 1, ""): 9,
             (0, 0, "chem"): 40, (1, 0, "chem"): 42, (0, 0, "aero"): 44, (1, 0, "aero"): 46, (0, 0, "optical"): 48}


def definitions():
    """Reader of the definition files that lie inside the library: path below grib2 -> text, or None."""
    import ctypes
    import eccodeslib
    path = next(iter(Path(eccodeslib.__file__).parent.rglob("libeccodes_memfs*.so*")), None)
    if path is None:
        sys.exit("this eccodes wheel holds no libeccodes_memfs: its definitions cannot be listed")
    library, libc = ctypes.CDLL(str(path)), ctypes.CDLL(None)
    library.codes_memfs_open.restype = ctypes.c_void_p
    library.codes_memfs_open.argtypes = [ctypes.c_char_p]
    libc.fread.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_size_t, ctypes.c_void_p]
    libc.fclose.argtypes = [ctypes.c_void_p]
    buffer = ctypes.create_string_buffer(1 << 20)

    def read(name):
        stream = library.codes_memfs_open(f"/MEMFS/definitions/grib2/{name}".encode())
        if not stream:
            return None
        out = b""
        while count := libc.fread(buffer, 1, len(buffer), stream):
            out += buffer.raw[:count]
        libc.fclose(stream)
        return out.decode("latin1")

    return read


def conditions_of(entry):
    """Keys of one definition as a frozenset of (letter, value); None where it needs a key that is left out."""
    out = {}
    for key, value in entry.items():
        if key in PLAIN:
            if not value.isdigit():
                return None
            out[PLAIN[key]] = int(value)
        elif key in ("constituentType", "aerosolType"):
            out["c"] = int(value)
        elif key == "is_aerosol_optical":
            out["o"] = 1
        elif key in ("is_chemical", "is_aerosol"):
            out["k"] = key[3:7]
        elif key == "typeOfWavelengthInterval" and value == "11":
            pass
        elif not (key.startswith("scal") and any(w in key for w in ("FixedSurface", "LowerLimit", "Wavelength"))):
            return None
    if "k" not in out and "o" not in out and "c" in out:
        out["k"] = "aero" if "aerosolType" in entry else "chem"
    for where, letter in (("FirstFixedSurface", "x"), ("SecondFixedSurface", "y"), ("LowerLimit", "q"),
                          ("FirstWavelength", "w")):
        factor, value = entry.get("scaleFactorOf" + where), entry.get("scaledValueOf" + where)
        if factor is None or value is None or "missing" in factor + value:
            continue
        if letter == "q" and "p" not in out or letter == "w" and "o" not in out:
            return None
        out[letter] = (int(factor), int(value))
    return frozenset(out.items())


CONCEPTS = ("paramId", "shortName", "name", "units", "cfName", "cfVarName")
ENTRY = re.compile(r"'[^'\n]*'\s*=\s*\{([^}]*)\}")


def entries(read, folder):
    """(parameter, keys) of each definition in a folder's files."""
    for concept in CONCEPTS:
        for version in ("", ".lte33", ".legacy"):
            text = read(f"{folder}{concept}{version}.def")
            for body in ENTRY.findall(re.sub(r"(?m)#.*$", "", text or "")):
                keys = dict(re.findall(r"(\w+)\s*=\s*([^\s;]+)", body))
                try:
                    parameter = tuple(int(keys.pop(k)) for k in ("discipline", "parameterCategory", "parameterNumber"))
                except (KeyError, ValueError):
                    continue
                yield parameter, keys


def candidates():
    """Scope -> parameter -> condition sets worth asking about, closed under what can hold together."""
    read = definitions()
    wide = collections.defaultdict(lambda: {frozenset()})
    for folder in ("", "localConcepts/ecmf/"):
        for parameter, keys in entries(read, folder):
            wide[parameter].add(conditions_of(keys) or frozenset())
    out = {"*": wide, "98": wide, "98old": wide}
    for scope, folder in FOLDERS.items():
        local = collections.defaultdict(lambda: {frozenset()})
        for parameter, keys in entries(read, f"localConcepts/{folder}/"):
            local[parameter].add(conditions_of(keys) or frozenset())
        for parameter, sets in local.items():
            sets |= wide.get(parameter, set())
        out[scope] = local
    closed = {}
    for scope, by in out.items():
        closed[scope] = {p: closed_under_union(sets) for p, sets in sorted(by.items())}
    return closed


def closed_under_union(sets):
    sets = set(sets)
    for _ in range(5):
        new = set()
        for one, two in itertools.combinations(sets, 2):
            both = one | two
            if len(dict(both)) == len(both) <= 7 and both not in sets:
                new.add(both)
        if not new or len(sets) + len(new) > 2500:
            break
        sets |= new
    return sorted(sets, key=lambda c: (len(c), sorted(map(str, c))))


HANDLES = {}


def ask(scope, parameter, conditions):
    """What ecCodes calls a field of this parameter for which exactly these conditions hold."""
    keys = dict(conditions)
    kind = "optical" if "o" in keys else keys.get("k", "chem" if "c" in keys else "")
    if keys.get("k", "aero") != "aero" and kind == "optical":
        return None
    template = TEMPLATES.get((int("s" in keys), int("p" in keys), kind))
    if template is None:
        return None
    handle = HANDLES.get((scope, template))
    if handle is None:
        handle = HANDLES[scope, template] = ec.codes_grib_new_from_samples("GRIB2")
        ec.codes_set(handle, "centre", SCOPES[scope][0])
        ec.codes_set(handle, "tablesVersion", SCOPES[scope][1])
        ec.codes_set(handle, "productDefinitionTemplateNumber", template)
    text = (f"localTablesVersion={keys.get('l', 0)},discipline={parameter[0]},parameterCategory={parameter[1]},"
            f"parameterNumber={parameter[2]},typeOfGeneratingProcess={keys.get('g', 255)},"
            f"typeOfFirstFixedSurface={keys.get('a', 255)},typeOfSecondFixedSurface={keys.get('b', 255)}")
    for letter, where in (("x", "First"), ("y", "Second")):
        if letter in keys:
            text += f",scaleFactorOf{where}FixedSurface={keys[letter][0]},scaledValueOf{where}FixedSurface={keys[letter][1]}"
        else:
            ec.codes_set_missing(handle, f"scaleFactorOf{where}FixedSurface")
            ec.codes_set_missing(handle, f"scaledValueOf{where}FixedSurface")
    if "s" in keys:  # 5 hours: no name is bound to that length
        text += f",typeOfStatisticalProcessing={keys['s']},indicatorOfUnitForTimeRange=1,lengthOfTimeRange=5"
    if "p" in keys:
        text += f",probabilityType={keys['p']}"
    if "q" in keys:
        text += f",scaleFactorOfLowerLimit={keys['q'][0]},scaledValueOfLowerLimit={keys['q'][1]}"
    if kind:
        text += f",{'constituentType' if kind == 'chem' else 'aerosolType'}={keys.get('c', 65535)}"
    if kind == "optical":
        factor, value = keys.get("w", (0, 0))
        text += (f",typeOfWavelengthInterval={11 if 'w' in keys else 255},scaleFactorOfFirstWavelength={factor},"
                 f"scaledValueOfFirstWavelength={value}")
    ec.codes_set_key_vals(handle, text)
    answer = tuple(ec.codes_get(handle, k, int) if k == "paramId" else ec.codes_get(handle, k) for k in FIELDS)
    if answer[2] == "unknown" and answer[0] == 0:
        return UNKNOWN
    return answer


def ask_many(job):
    scope, chunk = job
    return scope, {p: {c: ask(scope, p, c) for c in sets} for p, sets in chunk}


def ask_all(candidates_of):
    """Scope -> parameter -> conditions -> answer."""
    jobs = []
    for scope, by in candidates_of.items():
        items = list(by.items())
        pieces = 1 + len(items) // 500
        jobs += [(scope, items[i::pieces]) for i in range(pieces)]
    out = collections.defaultdict(dict)
    with Pool() as pool:
        for done, (scope, answers) in enumerate(pool.imap_unordered(ask_many, jobs)):
            out[scope].update(answers)
            print(f"\r{done + 1} of {len(jobs)}", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    return out


def best(rules, conditions):
    """The answer of the rule with the most conditions that hold; the later one among equals."""
    found, count = UNKNOWN, -1
    for rule, answer in rules:
        if len(rule) >= count and rule <= conditions:
            found, count = answer, len(rule)
    return found


def minimal(answers):
    """The fewest rules that give these answers: a set is kept only where shorter ones would answer otherwise."""
    kept = []
    for conditions in sorted(answers, key=lambda c: (len(c), sorted(map(str, c)))):
        if answers[conditions] is not None and best(kept, conditions) != answers[conditions]:
            kept.append((conditions, answers[conditions]))
    return kept


def rules_of_all(cache):
    """Scope -> parameter -> rules."""
    candidates_of = candidates()
    print(f"{sum(len(sets) for by in candidates_of.values() for sets in by.values())} questions", file=sys.stderr)
    full = ask_all(candidates_of)
    wide = {p: minimal(a) for p, a in full["*"].items()}
    out = {"*": {p: r for p, r in wide.items() if any(a != UNKNOWN for _, a in r)}}
    for scope in SCOPES:
        if scope == "*":
            continue
        under = out["98"] if scope == "98old" else {}
        rules = {p: minimal(a) for p, a in full[scope].items()}
        out[scope] = {p: r for p, r in rules.items() if r != under.get(p, wide.get(p, []))}
    if cache:
        Path(cache).write_bytes(pickle.dumps(out))
    return out


def condition_text(conditions):
    order = "abxyskocwglpq"
    parts = []
    for letter, value in sorted(conditions, key=lambda kv: order.index(kv[0])):
        parts.append(f"{letter}{value[0]}:{value[1]}" if isinstance(value, tuple) else f"{letter}{value}")
    return ",".join(parts)


VARIANTS = {"avg_": "Time-mean ", "max_": "Time-maximum ", "min_": "Time-minimum ", "std_": "Time-standard-deviation "}


def variant_of(fact, by_short_name):
    """The fact that this one is a plain statistic of: `max_t`, "Time-maximum temperature" is one of `t`, "Temperature"."""
    prefix = fact[1][:4]
    if prefix in VARIANTS and fact[2] == fact[1] and fact[5] == "unknown":
        for base in by_short_name.get(fact[1][4:], []):
            if fact[3] == VARIANTS[prefix] + base[3][:1].lower() + base[3][1:] and fact[4] == base[4]:
                return base
    return None


def rule_tables(rules):
    clean = lambda value: re.sub(r"\s+", " ", str(value)).strip() if isinstance(value, str) else value
    tidy = lambda answer: tuple(map(clean, answer))
    facts = {tidy(a) for by in rules.values() for r in by.values() for _, a in r} - {UNKNOWN}
    by_short_name = collections.defaultdict(list)
    for fact in sorted(facts):
        by_short_name[fact[1]].append(fact)
    base_of = {f: variant_of(f, by_short_name) for f in facts}
    plain = sorted((f for f in facts if base_of[f] is None), key=lambda f: (f[4], f[3], f[1], f))
    order = [UNKNOWN] + plain + sorted(f for f in facts if base_of[f] is not None)
    number = {fact: i for i, fact in enumerate(order)}
    lines, above = [], UNKNOWN
    for fact in order:
        param_id, short_name, variable, name, units, standard_name = fact
        if fact != UNKNOWN and base_of[fact] is not None:
            lines.append(f"{param_id}\t{short_name[:3]}\t{number[base_of[fact]]}")
            continue
        variable = {short_name: "", f"p{param_id}": "p"}.get(variable, variable)
        lines.append("\t".join((str(param_id), short_name, variable, "" if name == above[3] else name,
                                "" if units == above[4] else units or ".", "" if standard_name == "unknown" else standard_name)))
        above = fact
    lines[0] = "0\tunknown\t\tunknown\tunknown\t"
    rule_lines = []
    for scope in SCOPES:
        for parameter, items in sorted(rules[scope].items()):
            text = ";".join(f"{condition_text(c)}={number[tidy(a)]}" for c, a in items)
            rule_lines.append("\t".join((scope, *map(str, parameter), text)))
    return "\n".join(lines) + "\n", "\n".join(rule_lines) + "\n"


def level_name(handle, first, second, x=None, y=None):
    text = f"typeOfFirstFixedSurface={first},typeOfSecondFixedSurface={second}"
    for value, where in ((x, "First"), (y, "Second")):
        if value is None:
            ec.codes_set_missing(handle, f"scaleFactorOf{where}FixedSurface")
            ec.codes_set_missing(handle, f"scaledValueOf{where}FixedSurface")
        else:
            text += f",scaleFactorOf{where}FixedSurface={value[0]},scaledValueOf{where}FixedSurface={value[1]}"
    ec.codes_set_key_vals(handle, text)
    return ec.codes_get(handle, "typeOfLevel")


def level_table():
    read = definitions()
    lines, wide = [], {}
    for scope, folder in (("*", ""), ("98", "localConcepts/ecmf/"), ("7", "localConcepts/kwbc/")):
        handle = ec.codes_grib_new_from_samples("GRIB2")
        ec.codes_set(handle, "centre", SCOPES[scope][0])
        seen = set()
        text = re.sub(r"(?m)#.*$", "", read(f"{folder}typeOfLevelConcept.def") or "")
        for body in ENTRY.findall(text):
            keys = dict(re.findall(r"(\w+)\s*=\s*([^\s;]+)", body))
            if "typeOfFirstFixedSurface" not in keys:
                continue
            found = dict(conditions_of({k: v for k, v in keys.items() if "FixedSurface" in k}))
            seen.add((found["a"], found.get("b"), found.get("x"), found.get("y")))
        for first, second, x, y in sorted(seen, key=str):
            name = level_name(handle, first, 255 if second is None else second, x, y)
            if name == "unknown":  # some have a name with values only
                name = level_name(handle, first, 255 if second is None else second, (0, 5), second and (0, 5))
            name = {"isobaricInPa": "isobaricInhPa"}.get(name, name)
            value = lambda v: "" if v is None else f"{v[0]}:{v[1]}"
            row = f"{first}\t{'*' if second is None else second}\t{value(x)}\t{value(y)}\t{name}"
            # With values only where they change the name.
            if (x or y) and level_name(handle, first, second or 255) == name or name == "unknown":
                continue
            if wide.get(row) is None:
                lines.append(f"{scope}\t{row}")
                wide[row] = scope
    # ecCodes wants six vertical coordinate values (NV) for these two, which are no part of a field's identity.
    lines += ["*\t150\t255\t\t\tgeneralVertical", "*\t150\t150\t\t\tgeneralVerticalLayer"]
    return "\n".join(lines) + "\n"


STEP_TYPES = {0: "avg", 1: "accum", 2: "max", 3: "min", 4: "diff", 5: "rms", 6: "sd", 7: "cov", 8: "sdiff", 9: "ratio",
              10: "stdanom", 11: "sum", 100: "severity", 101: "mode"}


def default_homes():
    """Home level type by (discipline, category), as homes.tsv has it."""
    rows = [line.split("\t") for line in (TABLES / "homes.tsv").read_text().splitlines() if line.startswith("*\t@")]
    by_key = {row[1][1:]: row[2] for row in rows}
    return lambda p: by_key.get(f"{p[0]}.{p[1]}") or by_key.get(f"{p[0]}") or "surface"


def demand_table(rules):
    """Home and usual step type of a cfVarName, where ecCodes' conditions tell.

    Home: the one level type that conditions of this name mention. Usual step type: the one that all of its rules demand.
    """
    handle = ec.codes_grib_new_from_samples("GRIB2")
    ec.codes_set(handle, "centre", 255)
    named = functools.cache(lambda *surfaces: level_name(handle, *surfaces))
    default_home, asked = default_homes(), candidates()
    lines, wide = [], {}
    for scope in SCOPES:
        if scope == "98old":
            continue
        pairs, statistics, parameters = (collections.defaultdict(set) for _ in range(3))
        for parameter, items in rules[scope].items():
            for conditions in asked[scope].get(parameter, []):
                keys, answer = dict(conditions), best(items, conditions)
                if answer != UNKNOWN and "a" in keys and not set(keys) & set("xypgc"):
                    pairs[answer[2]].add(named(keys["a"], keys.get("b", 255)))
            for conditions, answer in items:
                keys = dict(conditions)
                if answer != UNKNOWN and not set(keys) & set("pgc"):
                    parameters[answer[2]].add(parameter)
                    statistics[answer[2]].add(keys.get("s"))
        for name in sorted(parameters):
            if name[:4] in VARIANTS:
                continue
            home = next(iter(pairs[name])) if len(pairs[name]) == 1 else ""
            home = {"isobaricInPa": "isobaricInhPa", "unknown": ""}.get(home, home)
            usual = STEP_TYPES.get(next(iter(statistics[name])), "") if len(statistics[name]) == 1 else ""
            if {home} == set(map(default_home, parameters[name])):
                home = ""
            if (home or usual) and wide.get(name) != (home, usual):
                lines.append(f"{scope}\t{name}\t{home}\t{usual}")
            if scope == "*":
                wide[name] = (home, usual)
    return "\n".join(lines) + "\n"


# The better bearer of a name, where the rule below would choose another.
PREFERRED = {("98", "tprate"): (0, 1, 52)}


def homonym_table(rules):
    """Parameters whose cfVarName another parameter of the same centre bears, and better: they get their numbers added.

    Who bears it best: a number of the centre's own (ECMWF: a local one), then WMO's, then the rest. Parameters that ecCodes
    says are one (one paramId) share the name.
    """
    scopes = collections.defaultdict(list)
    for scope in SCOPES:
        if scope == "98old":
            continue
        valid = dict(rules["*"]) | rules[scope]
        own = set() if scope == "*" else set(rules[scope])
        if scope == "98":
            valid = rules["98old"] | valid
            own |= {p for p in valid if p[0] < 192 <= p[2]}
        bearers = collections.defaultdict(lambda: collections.defaultdict(set))
        for parameter, items in valid.items():
            for _, answer in items:
                if answer != UNKNOWN:
                    bearers[answer[2]][parameter].add(answer[0])
        for name, ids in sorted(bearers.items()):
            rank = lambda p: (p != PREFERRED.get((scope, name)), p not in own, not (p[0] < 192 and p[2] < 192), p)
            first = min(ids, key=rank)
            for parameter in sorted(ids):
                if not ids[parameter] & ids[first]:
                    scopes[(*parameter, name)].append(scope)
    return "".join("\t".join((",".join(scopes[key]), *map(str, key))) + "\n" for key in sorted(scopes))


def centre_table():
    handle = ec.codes_grib_new_from_samples("GRIB2")
    lines = []
    for number in range(256):
        ec.codes_set(handle, "centre", number)
        name = ec.codes_get(handle, "centre")
        if name != str(number):
            lines.append(f"{number}\t{name}")
    return "\n".join(lines) + "\n"


# What operational products hold: parameter, surface 1, surface 2, statistics. Their answers are always among the cases.
TYPICAL = [(p, a, b, s) for p, a, b, statistics in [
    ((0, 0, 0), (103, 0, 2), None, (None, 0, 2, 3)), ((0, 0, 0), (103, 0, 80), None, (None,)),
    ((0, 0, 0), (100, 0, 50000), None, (None, 0)), ((0, 0, 0), (104, 4, 9950), None, (None,)),
    ((0, 0, 4), (103, 0, 2), None, (2,)), ((0, 0, 5), (103, 0, 2), None, (3,)), ((0, 0, 6), (103, 0, 2), None, (None,)),
    ((0, 1, 0), (103, 0, 2), None, (None,)), ((0, 1, 1), (103, 0, 2), None, (None,)), ((0, 1, 1), (100, 0, 85000), None, (None,)),
    ((0, 2, 2), (103, 0, 10), None, (None, 2)), ((0, 2, 3), (103, 0, 10), None, (None,)), ((0, 2, 2), (103, 0, 100), None, (None,)),
    ((0, 2, 2), (103, 0, 80), None, (None,)), ((0, 2, 2), (100, 0, 25000), None, (None,)), ((0, 2, 2), (109, 9, 2000), None, (None,)),
    ((0, 2, 1), (103, 0, 10), None, (None, 0, 2)), ((0, 2, 22), (1, None, None), None, (None, 2)), ((0, 2, 22), (103, 0, 10), None, (None, 2)),
    ((0, 3, 0), (1, None, None), None, (None,)), ((0, 3, 0), (101, None, None), None, (None,)), ((0, 3, 1), (101, None, None), None, (None,)),
    ((0, 3, 192), (101, None, None), None, (None,)), ((0, 3, 5), (100, 0, 50000), None, (None,)), ((0, 3, 5), (215, None, None), None, (None,)),
    ((0, 1, 8), (1, None, None), None, (None, 0, 1)), ((0, 1, 10), (1, None, None), None, (1,)), ((0, 1, 7), (1, None, None), None, (None, 0)),
    ((0, 1, 52), (1, None, None), None, (None, 1)), ((0, 1, 193), (1, None, None), None, (None, 0, 1)), ((0, 1, 3), (200, None, None), None, (None,)),
    ((0, 1, 11), (1, None, None), None, (None,)), ((0, 1, 13), (1, None, None), None, (None, 1)), ((0, 1, 22), (100, 0, 50000), None, (None,)),
    ((0, 7, 6), (1, None, None), None, (None,)), ((0, 7, 6), (108, 0, 18000), (108, 0, 0), (None,)), ((0, 7, 7), (1, None, None), None, (None,)),
    ((0, 6, 1), (10, None, None), None, (None, 0)), ((0, 6, 1), (1, None, None), None, (None,)), ((0, 6, 3), (214, None, None), None, (None, 0)),
    ((0, 4, 192), (1, None, None), None, (None, 0)), ((0, 5, 192), (1, None, None), None, (0,)), ((0, 4, 7), (1, None, None), None, (None, 0, 1)),
    ((0, 4, 9), (1, None, None), None, (1,)), ((0, 5, 3), (1, None, None), None, (0, 1)), ((0, 16, 196), (10, None, None), None, (None,)),
    ((0, 16, 195), (103, 0, 1000), None, (None, 2)), ((0, 19, 0), (1, None, None), None, (None,)), ((0, 7, 199), (103, 0, 5000), (103, 0, 2000), (2,)),
    ((2, 0, 0), (1, None, None), None, (None,)), ((2, 0, 2), (106, 0, 0), (106, 1, 1), (None,)), ((2, 0, 192), (106, 0, 0), (106, 1, 1), (None,)),
    ((2, 0, 22), (151, 0, 1), (151, 0, 2), (None,)), ((2, 3, 18), (151, 0, 0), (151, 0, 1), (None,)), ((10, 0, 3), (1, None, None), None, (None,)),
    ((10, 0, 8), (241, 0, 1), None, (None,)), ((10, 2, 0), (1, None, None), None, (None,)), ((10, 3, 0), (1, None, None), None, (None,)),
    ((192, 128, 228), (1, None, None), None, (None,)), ((0, 1, 201), (1, None, None), None, (1,)), ((0, 18, 192), (1, None, None), None, (None,)),
] for s in statistics]


def case_lines(rules):
    """About 300 fields, typical ones first, then drawn from the rules; what ecCodes answers, levels and step included."""
    draw = random.Random(7)
    wanted = []
    for parameter, first, second, statistic in TYPICAL:
        for centre, tables, local in ((7, 2, 1), (98, 28, 0), (98, 35, 0)):
            wanted.append((centre, tables, local, parameter, first, second, statistic, None))
    for scope, count in (("*", 60), ("7", 40), ("98", 15), ("98old", 20), ("78", 20), ("82", 5), ("74", 2)):
        pool = sorted(p for p, items in rules[scope].items() if items)
        for parameter in draw.sample(pool, min(count, len(pool))):
            conditions, _ = draw.choice(rules[scope][parameter])
            keys = dict(conditions)
            if any(k in keys for k in "ckogwpq"):
                continue
            surface = lambda t, v: (keys.get(t, 255), *(keys.get(v) or (None, None)))
            centre, tables = SCOPES[scope]
            wanted.append((centre, tables, keys.get("l", 0), parameter, surface("a", "x"), surface("b", "y"), keys.get("s"), None))
    header = ("centre tables local discipline category number type1 factor1 value1 type2 factor2 value2 statistic "
              "shortName cfVarName name units cfName paramId typeOfLevel stepType").split()
    lines = ["\t".join(header)]
    for centre, tables, local, parameter, first, second, statistic, _ in wanted:
        second = second or (255, None, None)
        handle = ec.codes_grib_new_from_samples("GRIB2")
        for key, value in (("centre", centre), ("tablesVersion", tables), ("localTablesVersion", local),
                           ("productDefinitionTemplateNumber", 0 if statistic is None else 8), ("discipline", parameter[0]),
                           ("parameterCategory", parameter[1]), ("parameterNumber", parameter[2])):
            ec.codes_set(handle, key, value)
        for where, (kind, factor, value) in (("First", first), ("Second", second)):
            ec.codes_set(handle, f"typeOf{where}FixedSurface", kind)
            for name, number in (("scaleFactor", factor), ("scaledValue", value)):
                key = f"{name}Of{where}FixedSurface"
                ec.codes_set_missing(handle, key) if number is None else ec.codes_set(handle, key, number)
        if statistic is not None:
            for key, value in (("typeOfStatisticalProcessing", statistic), ("indicatorOfUnitForTimeRange", 1), ("lengthOfTimeRange", 5)):
                ec.codes_set(handle, key, value)
        answers = [ec.codes_get(handle, k) for k in ("shortName", "cfVarName", "name", "units", "cfName")]
        answers += [ec.codes_get(handle, "paramId", int), ec.codes_get(handle, "typeOfLevel"), ec.codes_get(handle, "stepType")]
        ec.codes_release(handle)
        row = [centre, tables, local, *parameter, *first, *second, statistic, *answers]
        lines.append("\t".join("" if v is None else str(v) for v in row))
    return "\n".join(dict.fromkeys(lines)) + "\n"


def main():
    # For work on this script: GRIBFS_RULES_CACHE names a file that keeps the slow part.
    cache = os.environ.get("GRIBFS_RULES_CACHE")
    if cache and Path(cache).exists():
        rules = pickle.loads(Path(cache).read_bytes())
    else:
        rules = rules_of_all(cache)
    facts, rule_text = rule_tables(rules)
    files = {TABLES / "facts.tsv": facts, TABLES / "rules.tsv": rule_text, TABLES / "levels.tsv": level_table(),
             TABLES / "demands.tsv": demand_table(rules), TABLES / "homonyms.tsv": homonym_table(rules),
             TABLES / "centres.tsv": centre_table(), CASES: case_lines(rules)}
    if "--check" in sys.argv:
        stale = [str(p) for p, text in files.items() if not p.exists() or p.read_text() != text]
        sys.exit(f"differ from what ecCodes {ec.codes_get_api_version()} says: {', '.join(stale)}" if stale else 0)
    for path, text in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        print(f"{path.relative_to(ROOT)}: {len(text)} bytes, {text.count(chr(10))} lines")


if __name__ == "__main__":
    main()
