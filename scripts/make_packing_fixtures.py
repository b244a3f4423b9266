#!/usr/bin/env python3
"""Writes small GRIB2 fields in every packing with ecCodes, and what ecCodes reads from them.

    make_packing_fixtures.py [OUT]         tests/data/packings: one file per packing, and expected.json
    make_packing_fixtures.py --large OUT   721 x 1440 points, for the benchmark; one field per file, 40 MB

Needs `eccodes` (2.50) and `numpy`. What ecCodes cannot write is made by changing octets of what it writes; what it reads is
the oracle in any case. expected.json: per file a list of fields, each with its name, number of points, and SHA-256 of the
values as little-endian float64 and float32, missing ones as the quiet NaN; or `refused`, what is to be refused though
ecCodes reads something.
"""
import argparse
import hashlib
import json
import os
import struct
import zlib

import eccodes as ec
import numpy as np

MISSING = -1e100
NI, NJ = 20, 13
RNG = np.random.default_rng(20)
SMOOTH = 280 + np.cumsum(RNG.standard_normal(NI * NJ))
NOISY = RNG.standard_normal(NI * NJ) * np.where(RNG.random(NI * NJ) < 0.05, 500, 1)
RAIN = np.where(SMOOTH > SMOOTH.mean(), SMOOTH - SMOOTH.mean(), 0.0)
GAPS = np.arange(NI * NJ) % 7 == 5
LAND = (np.arange(NI * NJ) // 40) % 2 == 1
CCSDS = dict(ccsdsFlags=14, ccsdsBlockSize=32, ccsdsRsi=128)


def handle(ni=NI, nj=NJ):
    h = ec.codes_grib_new_from_samples("GRIB2")
    put(h, gridType="regular_ll", Ni=ni, Nj=nj, latitudeOfFirstGridPointInDegrees=60.0, latitudeOfLastGridPointInDegrees=30.0,
        longitudeOfFirstGridPointInDegrees=0.0, longitudeOfLastGridPointInDegrees=30.0, dataDate=20250101)
    return h


def put(h, **keys):
    for key, value in keys.items():
        ec.codes_set(h, key, value)


def message(values, packing, missing=None, ni=NI, nj=NJ, **keys):
    """One message: `values`, NaN where `missing` is; `keys` are set before the values, `D` and `bits` say how exact."""
    h = handle(ni, nj)
    values = np.array(values, dtype=float)
    grouped = packing.startswith("grid_complex")
    put(h, packingType="grid_simple" if grouped else packing)
    if missing is not None:
        put(h, missingValue=MISSING, bitmapPresent=1)
        values[missing] = MISSING
    bits, decimals = keys.pop("bits", None), keys.pop("D", None)
    if bits is not None:
        put(h, bitsPerValue=bits)
    if decimals is not None:
        put(h, decimalPrecision=decimals)
    if grouped:  # it takes its accuracy from a field that is there
        ec.codes_set_values(h, values)
        put(h, packingType=packing)
    late = {key: keys.pop(key) for key in list(keys) if key.startswith("ccsds")}
    put(h, **keys)
    put(h, **late)
    ec.codes_set_values(h, values)
    octets = ec.codes_get_message(h)
    ec.codes_release(h)
    return octets


def sections(octets):
    """Number -> (from, to) of the sections of a message of one field."""
    found, at = {}, 16
    while octets[at:at + 4] != b"7777":
        length = struct.unpack(">I", octets[at:at + 4])[0]
        found[octets[at + 4]] = (at, at + length)
        at += length
    return found


def rebuilt(octets, replaced):
    """The message with whole sections replaced."""
    body = b""
    for number, (start, end) in sections(octets).items():
        body += replaced.get(number, octets[start:end])
    return octets[:8] + struct.pack(">Q", 16 + len(body) + 4) + body + b"7777"


def section(number, content):
    return struct.pack(">IB", len(content) + 5, number) + content


def head(count, template, reference=0.0, binary=0, decimal=0, bits=0):
    sign = lambda n: (0x8000 | -n) if n < 0 else n
    return struct.pack(">IHfHHBB", count, template, reference, sign(binary), sign(decimal), bits, 0)


def bits_of(*numbers):
    """(value, width) pairs to octets."""
    text = "".join(format(value, f"0{width}b") for value, width in numbers if width)
    text += "0" * (-len(text) % 8)
    return bytes(int(text[k:k + 8], 2) for k in range(0, len(text), 8))


def complex_by_hand(count, groups, *, bits, width_bits, length_bits, missing=0, order=0, octets=0, first=(), minimum=0,
                    reference=0.0, binary=0, decimal=0, width_reference=0, length_reference=0, increment=1):
    """Sections 5 and 7 of complex packing: groups are (reference, width, values)."""
    s5 = head(count, 3 if order else 2, reference, binary, decimal, bits)
    s5 += struct.pack(">BBIIIBBIBIB", 1, missing, 0, 0, len(groups), width_reference, width_bits, length_reference, increment,
                      len(groups[-1][2]), length_bits)
    s7 = b""
    if order:
        s5 += struct.pack(">BB", order, octets)
        if octets:
            sign = (1 << 8 * octets - 1) | -minimum if minimum < 0 else minimum
            s7 = b"".join(n.to_bytes(octets, "big") for n in (*first, sign))
    s7 += bits_of(*((r, bits) for r, _, _ in groups))
    s7 += bits_of(*((w - width_reference, width_bits) for _, w, _ in groups))
    s7 += bits_of(*(((len(v) - length_reference) // increment, length_bits) for _, _, v in groups))
    s7 += bits_of(*((n, w) for _, w, v in groups for n in v))
    return {5: section(5, s5), 7: section(7, s7), 6: section(6, b"\xff")}


def simple():
    for bits in (1, 2, 3, 5, 7, 8, 9, 10, 11, 12, 13, 15, 16, 17, 20, 23, 24, 25, 29, 31, 32):
        yield f"{bits} bits", message(SMOOTH, "grid_simple", bits=bits)
    for decimals in (-2, -1, 0, 1, 3, 6):
        yield f"D {decimals}", message(SMOOTH * 10.0 ** -min(decimals, 0), "grid_simple", D=decimals)
    yield "bitmap", message(SMOOTH, "grid_simple", GAPS, bits=12)
    yield "bitmap of blocks", message(SMOOTH, "grid_simple", LAND, bits=16)
    yield "constant", message(np.full(NI * NJ, 273.16), "grid_simple")
    yield "constant, bitmap", message(np.full(NI * NJ, 273.16), "grid_simple", GAPS)
    yield "all missing", message(SMOOTH, "grid_simple", np.full(NI * NJ, True))
    m = bytearray(message(np.full(NI * NJ, 273.16), "grid_simple"))
    m[sections(m)[5][0] + 18] = 2
    yield "constant, D 2: R without 10^-D", bytes(m)


def ieee():
    yield "32 bits", message(SMOOTH, "grid_ieee", precision=1)
    yield "64 bits", message(SMOOTH, "grid_ieee", precision=2)
    yield "32 bits, bitmap", message(SMOOTH, "grid_ieee", GAPS, precision=1)
    m = bytearray(message(SMOOTH, "grid_ieee", precision=1))
    start = sections(m)[7][0] + 5
    m[start:start + 4] = struct.pack(">f", float("inf"))
    yield "an infinity stays one", bytes(m)


def complex_packing():
    for name, values in (("smooth", SMOOTH), ("noisy", NOISY), ("rain", RAIN)):
        for decimals in (0, 2, 4):
            yield f"{name}, D {decimals}", message(values, "grid_complex", D=decimals)
    yield "bitmap", message(SMOOTH, "grid_complex", GAPS, D=2)
    yield "constant", message(np.full(NI * NJ, 5.0), "grid_complex")
    base = message(SMOOTH, "grid_simple")
    n = NI * NJ
    for width in range(33):
        values = [int(v) for v in RNG.integers(0, 1 << width, n - 3)]
        yield f"a group of width {width}", rebuilt(base, complex_by_hand(
            n, [(3, 2, [0, 3, 1]), (7, width, values)], bits=4, width_bits=6, length_bits=9, reference=-3.5, binary=-3, decimal=1))
    short = [(k % 16, k % 5, [int(v) for v in RNG.integers(0, 1 << k % 5, 4 if k < 64 else 4)]) for k in range(65)]
    yield "scaled lengths", rebuilt(base, complex_by_hand(n, short, bits=4, width_bits=3, length_bits=0, length_reference=4, increment=3))
    yield "0 bits per reference", rebuilt(base, complex_by_hand(n, [(0, w, v) for _, w, v in short], bits=0, width_bits=3, length_bits=3))
    for management in (1, 2):
        for width in (0, 1, 2, 7, 31):
            top = 1 << width
            values = [int(v) for v in RNG.integers(max(0, top - 5), top, n - 60)]
            groups = [(15, 0, [0] * 20), (14, 0, [0] * 20), (13, 0, [0] * 20), (2, width, values)]
            yield f"missing {management}, width {width}", rebuilt(base, complex_by_hand(
                n, groups, bits=4, width_bits=6, length_bits=9, missing=management, reference=1.5))
        yield f"missing {management}, 0 bits per reference", rebuilt(base, complex_by_hand(
            n, [(0, 0, [0] * 60), (0, 3, [k % 8 for k in range(n - 60)])], bits=0, width_bits=6, length_bits=9, missing=management))


def spatial_differencing():
    for order in (1, 2):
        for name, values in (("smooth", SMOOTH), ("noisy", NOISY), ("rain", RAIN)):
            for decimals in (0, 2, 4):
                yield f"order {order}, {name}, D {decimals}", message(
                    values, "grid_complex_spatial_differencing", D=decimals, orderOfSpatialDifferencing=order)
        yield f"order {order}, bitmap", message(SMOOTH, "grid_complex_spatial_differencing", GAPS, D=2, orderOfSpatialDifferencing=order)
        base = message(SMOOTH, "grid_simple")
        n = NI * NJ
        for management in (0, 1, 2):
            for octets, first, minimum in ((0, (0, 0), 0), (1, (0xC8, 0x90), -7), (2, (0xFFF0, 0xFF00), -3), (4, (0x80000000, 0x80000010), -4)):
                groups = [(4, 0, [0, 0]), (0, 4, [int(v) for v in RNG.integers(0, 16, 150)]), (15, 0, [0] * 11),
                          (5, 3, [int(v) for v in RNG.integers(0, 8, n - 163)])]
                yield f"order {order}, missing {management}, first values of {octets} octets", rebuilt(base, complex_by_hand(
                    n, groups, bits=4, width_bits=5, length_bits=8, missing=management, order=order, octets=octets,
                    first=first[:order], minimum=minimum, reference=2.0, binary=-1, decimal=1))
        for k in (0, 1, 2):
            groups = [(15, 0, [0] * (n - k)), *([(1, 4, [15, 3][:k])] if k else [])]
            yield f"order {order}, {k} of two values present at the end", rebuilt(base, complex_by_hand(
                n, groups, bits=4, width_bits=5, length_bits=9, missing=1, order=order, octets=2, first=(700, 800)[:order], minimum=-5))
        groups = [(k % 7, 3, [k % 8]) for k in range(n)]
        yield f"order {order}, groups of one value", rebuilt(base, complex_by_hand(
            n, groups, bits=4, width_bits=5, length_bits=1, order=order, octets=2, first=(700, 800)[:order], minimum=-5))


def ccsds():
    for bits in range(1, 33):
        yield f"{bits} bits", message(SMOOTH, "grid_ccsds", bits=bits, **CCSDS)
    for name, values in (("noisy", NOISY), ("rain", RAIN)):
        for bits in (8, 16, 24):
            yield f"{name}, {bits} bits", message(values, "grid_ccsds", bits=bits, **CCSDS)
    for block in (8, 16, 32, 64):
        for rsi in (1, 2, 7, 128, 4096):
            yield f"blocks of {block}, interval {rsi}", message(RAIN, "grid_ccsds", bits=12, **CCSDS | dict(ccsdsBlockSize=block, ccsdsRsi=rsi))
    for flags in (0, 4, 6, 8, 10, 12, 14, 64 + 14, 1 + 14, 1 + 6):
        for bits in (7, 16, 20):
            yield f"flags {flags}, {bits} bits", message(RAIN, "grid_ccsds", bits=bits, **CCSDS | dict(ccsdsFlags=flags, ccsdsRsi=3))
    for bits in (1, 2, 3, 4):
        yield f"restricted, {bits} bits", message(SMOOTH, "grid_ccsds", bits=bits, **CCSDS | dict(ccsdsFlags=16 + 14))
    # libaec is built to read padded intervals, not to write them: streams of one interval each make one of several.
    for bits in (7, 16, 20):
        parts = [message(part, "grid_ccsds", ni=16, nj=6, bits=bits, **CCSDS | dict(ccsdsRsi=3)) for part in
                 ((1 << bits) * 2.0 ** -9 * np.r_[0, 1 - 0.5 ** bits, RNG.random(94) * np.linspace(0, 1, 94) ** power] for power in (0, 1, 8))]
        stream = b"".join(m[sections(m)[7][0] + 5:sections(m)[7][1]] for m in parts)
        start, end = sections(parts[0])[5]
        s5 = bytearray(parts[0][start + 5:end])
        s5[0:4], s5[16] = struct.pack(">I", 3 * 96), 32 + 14
        yield f"padded intervals, {bits} bits", rebuilt(message(np.arange(3 * 96), "grid_simple", ni=16, nj=18), {5: section(5, bytes(s5)), 7: section(7, stream)})
    steps = np.repeat([0.0, 7, 7, 1, 0], NI * NJ // 5)
    yield "zero blocks", message(steps, "grid_ccsds", bits=12, **CCSDS | dict(ccsdsBlockSize=8))
    yield "bitmap", message(SMOOTH, "grid_ccsds", GAPS, bits=16, **CCSDS)
    yield "constant", message(np.full(NI * NJ, 5.0), "grid_ccsds")
    # Long enough for more than one segment of zero blocks, and its rest.
    long = np.zeros(200 * 100)
    long[9000:9100] = RNG.integers(0, 2, 100)
    long[15000] = 900
    for rsi in (64, 128, 130):
        yield f"long runs of zeros, interval {rsi}", message(long, "grid_ccsds", ni=200, nj=100, bits=10, **CCSDS | dict(ccsdsBlockSize=8, ccsdsRsi=rsi))


def jpeg2000():
    for bits in (1, 8, 12, 16, 24):
        yield f"{bits} bits", message(SMOOTH, "grid_jpeg", bits=bits)
    yield "bitmap", message(SMOOTH, "grid_jpeg", GAPS, bits=12)
    yield "constant", message(np.full(NI * NJ, 5.0), "grid_jpeg")


def png():
    # Images by hand: libpng, as ecCodes drives it, cannot write small fields of noise.
    base = message(SMOOTH, "grid_simple")
    masked = message(SMOOTH, "grid_simple", GAPS)
    n = NI * NJ
    present = n - int(GAPS.sum())
    for depth, colour, width, points in ((1, 0, NI, n), (2, 0, NI, n), (4, 0, n, n), (8, 0, 13, n), (16, 0, 1, n), (8, 2, NI, n), (8, 6, NI, n),
                                         (16, 0, present, present)):
        bits = depth * {0: 1, 2: 3, 6: 4}[colour]
        integers = RNG.integers(0, 1 << bits, (points // width, width))
        rows = [b"\0" + bits_of(*((int(v), bits) for v in row)) for row in integers]
        chunk = lambda kind, data: struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        image = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, points // width, depth, colour, 0, 0, 0))
        image += chunk(b"IDAT", zlib.compress(b"".join(rows))) + chunk(b"IEND", b"")
        replaced = {5: section(5, head(points, 41, 3.5, -1, 1, bits)), 7: section(7, image)}
        title, octets = f"image of depth {bits}, {width} wide, {points} points", rebuilt(base if points == n else masked, replaced)
        # Grey of less than 8 bits, which wgrib2 writes, makes ecCodes 2.50 abort: the formula is the oracle there.
        yield (title, octets, ((integers.ravel() * 0.5) + 3.5) * 0.1) if depth < 8 else (title, octets)
    yield "constant", rebuilt(base, {5: section(5, head(n, 41, 5.0, 0, 2, 0)), 7: section(7, b"")})


def run_length():
    base = message(SMOOTH, "grid_simple")
    n = NI * NJ
    for bits, top, levels in ((8, 5, [0, 10, 50, 300, 2000]), (4, 3, [1, 2, 3, 4]), (2, 1, [7]), (8, 254, list(range(254)))):
        radix = (1 << bits) - 1 - top

        def run(level, length):
            yield level % (top + 1), bits
            rest = length - 1 if radix > 1 else 0
            while rest:
                yield top + 1 + rest % radix, bits
                rest //= radix

        lengths, left = [], n - 8
        while left:
            lengths.append(min(left, [1, 2, 17, 40, 3][len(lengths) % 5] if radix > 1 else 1))
            left -= lengths[-1]
        # ecCodes takes padding at the end for values, so the last runs are cut to fill a whole octet.
        for singles in range(8):
            numbers = [number for level, length in enumerate(lengths + ([1] * singles + [8 - singles] if radix > 1 else [1] * 8)) for number in run(level, length)]
            if len(numbers) * bits % 8 == 0:
                break
        s5 = struct.pack(">IHBHHB", n, 200, bits, top, len(levels), 1) + b"".join(struct.pack(">H", v) for v in levels)
        yield f"{bits} bits, {top} levels", rebuilt(base, {5: section(5, s5), 6: section(6, b"\xff"), 7: section(7, bits_of(*numbers))})


def refused():
    """Packings that are not decoded, and must be named."""
    yield "5.61", message(SMOOTH, "grid_simple_log_preprocessing")


FILES = {"simple": simple, "ieee": ieee, "complex": complex_packing, "spatial_differencing": spatial_differencing, "ccsds": ccsds,
         "jpeg2000": jpeg2000, "png": png, "run_length": run_length, "refused": refused}


def read(octets, values=None):
    h = ec.codes_new_from_message(octets)
    put(h, missingValue=MISSING)
    values = ec.codes_get_values(h) if values is None else values
    template = ec.codes_get(h, "dataRepresentationTemplateNumber")
    ec.codes_release(h)
    values = np.where((values == MISSING) | np.isnan(values), np.nan, values)
    with np.errstate(over="ignore"):
        single = values.astype("<f4")
    single[np.isnan(single)] = np.frombuffer(b"\0\0\xc0\x7f", "<f4")[0]
    double = values.astype("<f8")
    double[np.isnan(double)] = np.frombuffer(b"\0\0\0\0\0\0\xf8\x7f", "<f8")[0]
    sha = lambda a: hashlib.sha256(a.tobytes()).hexdigest()
    return {"template": template, "points": len(values), "missing": int(np.isnan(values).sum()), "sha256_f64": sha(double), "sha256_f32": sha(single)}


def small(out):
    os.makedirs(out, exist_ok=True)
    expected = {}
    for name, make in FILES.items():
        fields, whole, steps = [], b"", make()
        while True:
            try:
                title, octets, *values = next(steps)
            except StopIteration:
                break
            try:
                field = read(octets, *values)
            except Exception as error:
                print(f"{name}, {title}: not read by ecCodes: {error}")
                continue
            fields.append({"name": title, **field})
            whole += octets
        with open(os.path.join(out, name + ".grib2"), "wb") as f:
            f.write(whole)
        expected[name + ".grib2"] = fields
        print(name, len(fields), "fields,", len(whole), "octets")
    with open(os.path.join(out, "expected.json"), "w") as f:
        f.write("{\n" + ",\n".join(f"{json.dumps(n)}: [\n" + ",\n".join(json.dumps(x) for x in v) + "\n]" for n, v in expected.items()) + "\n}\n")


def large(out):
    os.makedirs(out, exist_ok=True)
    ni, nj = 1440, 721
    rng = np.random.default_rng(1)

    def noise(slope):
        f = np.fft.rfft2(rng.standard_normal((2 * nj - 2, ni)))
        k = np.hypot((np.fft.fftfreq(2 * nj - 2) * (2 * nj - 2))[:, None], np.fft.rfftfreq(ni) * ni)
        k[0, 0] = 1
        z = np.fft.irfft2(f * k ** (-slope / 2 - 0.5), s=(2 * nj - 2, ni))[:nj]
        return ((z - z.mean()) / z.std()).ravel()

    temperature = 280 + 15 * noise(3.0) + noise(1.0)
    rain = np.maximum(np.exp(1.2 * noise(2.2)) - 2.2, 0)
    land = noise(2.8) > 0.5
    size = dict(ni=ni, nj=nj)
    differenced = "grid_complex_spatial_differencing"
    fields = {
        "simple_10bit": message(temperature, "grid_simple", bits=10, **size), "simple_16bit": message(temperature, "grid_simple", bits=16, **size),
        "simple_12bit_bitmap": message(temperature, "grid_simple", land, bits=12, **size), "simple_24bit": message(temperature, "grid_simple", bits=24, **size),
        "ieee": message(temperature, "grid_ieee", precision=1, **size), "complex": message(temperature, "grid_complex", D=2, **size),
        "differencing_1": message(temperature, differenced, D=1, orderOfSpatialDifferencing=1, **size),
        "differencing_2": message(temperature, differenced, D=2, orderOfSpatialDifferencing=2, **size),
        "differencing_2_rain": message(rain, differenced, D=2, orderOfSpatialDifferencing=2, **size),
        "differencing_2_bitmap": message(temperature, differenced, land, D=2, orderOfSpatialDifferencing=2, **size),
        "ccsds_16bit": message(temperature, "grid_ccsds", bits=16, **CCSDS, **size), "ccsds_rain": message(rain, "grid_ccsds", bits=16, **CCSDS, **size),
        "jpeg2000_14bit": message(temperature, "grid_jpeg", bits=14, **size), "png_14bit": message(temperature, "grid_png", bits=14, **size),
    }
    for name, octets in fields.items():
        with open(os.path.join(out, name + ".grib2"), "wb") as f:
            f.write(octets)
        print(name, len(octets))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", nargs="?", default=os.path.join(os.path.dirname(__file__), "../tests/data/packings"))
    parser.add_argument("--large", action="store_true")
    arguments = parser.parse_args()
    (large if arguments.large else small)(arguments.out)


if __name__ == "__main__":
    main()
