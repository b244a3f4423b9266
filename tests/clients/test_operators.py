"""What operators do with a mount: mount(8) and fstab, users without privilege, signals, logs, limits, doctor and list.

As root the surroundings are made with unshare(1) and setpriv(1); what cannot be made here is skipped, with a line that says so.
"""

import contextlib
import ctypes
import errno
import http.server
import json
import mmap
import os
import pathlib
import shutil
import signal
import socket
import stat
import subprocess
import sys
import threading
import time

import pytest
from conftest import ARCHIVE, PROGRAM, run, wait_until
from test_faults import T2M, chunk, errno_of, store, table  # noqa: F401

GFS = ARCHIVE / "gfs.20261122"
HELPER = pathlib.Path("/sbin/mount.gribfs")
ROOT = os.geteuid() == 0
CHUNK = b"0123456789abcdef" * 4096  # 64 KiB


@pytest.fixture(scope="module")
def local(gribfs, tmp_path_factory):
    path = tmp_path_factory.mktemp("table") / "gfs.parquet"
    gribfs("index", GFS / "00", "-o", path)
    return path


def reference_set(folder, chunks=8):
    """A kerchunk set whose array `x` has that many chunks of 64 KiB in one file."""
    folder.mkdir(exist_ok=True)
    (folder / "data.bin").write_bytes(CHUNK * min(chunks, 16))
    count = len(CHUNK) // 4
    refs = {
        ".zgroup": '{"zarr_format":2}',
        "x/.zarray": json.dumps({"zarr_format": 2, "shape": [chunks * count], "chunks": [count], "dtype": "<f4", "compressor": None, "filters": None, "fill_value": 0, "order": "C"}),
        "x/.zattrs": '{"_ARRAY_DIMENSIONS":["n"]}',
    }
    refs |= {f"x/{i}": [f"file://{folder}/data.bin", len(CHUNK) * (i % 16), len(CHUNK)] for i in range(chunks)}
    (folder / "refs.json").write_text(json.dumps({"version": 1, "refs": refs}))
    return folder / "refs.json"


@pytest.fixture(params=["table", "references"])
def source(request, local, tmp_path):
    """Both kinds of what can be mounted: the path, and a chunk file in it with the bytes that it holds."""
    if request.param == "table":
        return local, "run_time.zarr/t2m/0.2.0.0", T2M.values.tobytes()
    return reference_set(tmp_path / "set"), "x/3", CHUNK


def status(mounted):
    return json.loads((pathlib.Path(mounted) / ".gribfs/status.json").read_text())


def private(script, *args, user=False, **env):
    """Runs a shell script in a mount namespace of its own (with `user`, in a user namespace too); skips where that is not allowed."""
    command = ["unshare", "-Urm" if user else "-m"]
    if shutil.which("unshare") is None or subprocess.run([*command, "true"], capture_output=True).returncode:
        pytest.skip(f"skipped: {' '.join(command)} is not allowed here")
    return subprocess.run([*command, "sh", "-euc", script, "sh", *map(str, args)], capture_output=True, text=True, timeout=120, env=os.environ | {"GRIBFS": str(PROGRAM)} | {k: str(v) for k, v in env.items()})


def worked(done):
    assert done.returncode == 0, f"exit {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout


# mount


def test_mount_says_where_it_is_what_it_shows_and_how_it_ends(gribfs, fuse, source, tmp_path):
    path, name, content = source
    place = tmp_path / "mnt"
    place.mkdir()
    text = gribfs("mount", path, place).stdout
    try:
        for word in (f"{path} is mounted at {place}", "array", f"gribfs umount {place}", "open_zarr", "log "):
            assert word in text, text
        assert (place / name).read_bytes() == content
    finally:
        gribfs("umount", place)


def test_words_of_o_are_owner_permissions_and_every_long_flag(mount, source):
    path, name, content = source
    words = "ro,rw,uid=1234,gid=56,umask=027,_netdev,nofail,noauto,user,x-systemd.automount,look_ahead=0,memory=64M,max-requests=8,timeout=20,max_bytes=1G"
    mounted = mount(path, "-o", words)
    found = os.stat(mounted / name)
    assert (found.st_uid, found.st_gid, stat.S_IMODE(found.st_mode)) == (1234, 56, 0o440)
    assert stat.S_IMODE(os.stat(mounted.path).st_mode) == 0o550
    if ROOT:
        assert (mounted / name).read_bytes() == content


def test_words_with_values_that_hold_commas(mount, local):
    for words in (r"variable=t2m\,gh,step=0h..6h", '"variable=t2m,gh",step=0h..6h', "variable=t2m,variable=gh,step=0h..6h"):
        mounted = mount(local, "-o", words)
        arrays = {name for name in os.listdir(mounted / "run_time.zarr") if not name.startswith(".")}
        assert {"t2m", "gh"} <= arrays and "tp" not in arrays and "u10" not in arrays, words


def test_a_word_that_nobody_knows_is_refused(gribfs, local, tmp_path):
    for word, told in (("warmth=1G", "warmth=1G"), ("memory", "wants a value"), ("follow=yes", "takes no value"), ("uid=root", "uid=root")):
        done = gribfs("mount", local, tmp_path, "-o", word, code=2)
        assert told in done.stderr, done.stderr
    assert not os.path.ismount(tmp_path)


def test_a_double_dash_before_the_source(mount, gribfs, fuse, local, tmp_path):
    place = tmp_path / "place"
    place.mkdir()
    gribfs("mount", "--", local, place)
    gribfs("umount", place)


@pytest.fixture
def helper(gribfs, fuse):
    """This program as mount(8)'s helper for the type gribfs, as the package installs it."""
    if not ROOT:
        pytest.skip("skipped: only root installs /sbin/mount.gribfs")
    if HELPER.exists() or HELPER.is_symlink():
        pytest.skip("skipped: /sbin/mount.gribfs is there already")
    HELPER.symlink_to(PROGRAM)
    yield
    HELPER.unlink()


def test_mount_8_and_fstab(helper, source, tmp_path):
    path, name, content = source
    place = tmp_path / "mnt"
    place.mkdir()
    worked(subprocess.run(["mount", "-t", "gribfs", path, place, "-o", r"ro,_netdev,nofail,x-gvfs-hide,uid=7,look_ahead=0,max_bytes=1G"], capture_output=True, text=True, timeout=60))
    assert os.stat(place / name).st_uid == 7
    assert (place / name).read_bytes() == content
    worked(subprocess.run(["umount", place], capture_output=True, text=True, timeout=60))
    assert not os.path.ismount(place)
    failed = subprocess.run(["mount", "-t", "gribfs", path, place, "-o", "nonsense"], capture_output=True, text=True, timeout=60)
    assert failed.returncode and "`nonsense` is not known" in failed.stderr, failed.stderr
    assert subprocess.run(["mount", "-f", "-t", "gribfs", path, place], timeout=60).returncode == 0 and not os.path.ismount(place)

    fstab = tmp_path / "fstab"
    fstab.write_text(f"{path} {place} gribfs noauto,ro,_netdev,nofail,user,x-systemd.automount,gid=9,memory=128M 0 0\n")
    script = """
        mount --bind "$1" /etc/fstab
        mount "$2"
        cmp "$2/$3" "$4"
        stat -c %g "$2/$3"
        umount "$2"
    """
    (tmp_path / "wanted").write_bytes(content)
    assert worked(private(script, fstab, place, name, tmp_path / "wanted")).split()[-1] == "9"


def test_a_url_with_mount_8(helper, http, table, tmp_path):
    """mount(8) hands a URL on as it is."""
    place = tmp_path / "mnt"
    place.mkdir()
    served = tmp_path / "served"
    served.mkdir()
    shutil.copy(table, served / "gfs.parquet")
    with http_server(served) as url:
        worked(subprocess.run(["mount", "-t", "gribfs", f"{url}/gfs.parquet", place], capture_output=True, text=True, timeout=60))
        try:
            assert chunk(place / "run_time.zarr", "t2m").read_bytes() == T2M.values.tobytes()
        finally:
            run("umount", place)


@contextlib.contextmanager
def http_server(folder, skew=0):
    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *args):
            super().__init__(*args, directory=str(folder))

        def do_GET(self):
            path = pathlib.Path(self.translate_path(self.path))
            if not path.is_file():
                return self.send_error(404)
            whole = path.read_bytes()
            wanted = self.headers.get("Range")
            first, last = 0, len(whole) - 1
            if wanted:
                start, _, end = wanted.removeprefix("bytes=").partition("-")
                first, last = (int(start), min(int(end), last) if end else last) if start else (max(len(whole) - int(end), 0), last)
            self.send_response(206 if wanted else 200)
            if wanted:
                self.send_header("Content-Range", f"bytes {first}-{last}/{len(whole)}")
            self.send_header("Content-Length", str(last + 1 - first))
            self.send_header("ETag", '"1"')
            self.end_headers()
            self.wfile.write(whole[first : last + 1])

        def date_time_string(self, timestamp=None):
            return super().date_time_string((timestamp or time.time()) + skew)

        def log_message(self, *args):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def test_in_a_user_namespace(gribfs, fuse, source, tmp_path):
    path, name, content = source
    (tmp_path / "wanted").write_bytes(content)
    (tmp_path / "mnt").mkdir()
    script = '"$GRIBFS" mount "$1" "$2"; cmp "$2/$3" "$4"; "$GRIBFS" list; "$GRIBFS" umount "$2"'
    text = worked(private(script, path, tmp_path / "mnt", name, tmp_path / "wanted", user=True))
    assert "serving" in text
    assert not os.path.ismount(tmp_path / "mnt")


def test_as_an_ordinary_user(gribfs, fuse, local, tmp_path):
    """Through fusermount3, with a device that is open to users, as distributions have it."""
    if not ROOT:
        pytest.skip("skipped: already an ordinary user, so every test is this one")
    if shutil.which("setpriv") is None:
        pytest.skip("skipped: no setpriv")
    place = pathlib.Path(f"/tmp/gribfs-user-{os.getpid()}")  # pytest's own folders are closed to others
    place.mkdir(mode=0o755)
    try:
        shutil.copy(PROGRAM, place / "gribfs")
        home = place / "home"
        shutil.copytree(reference_set(tmp_path / "set").parent, place / "set")
        refs = place / "set/refs.json"
        refs.write_text(refs.read_text().replace(str(tmp_path / "set"), str(place / "set")))
        (home / "mnt").mkdir(parents=True)
        for path in (home, home / "mnt"):
            os.chown(path, 65534, 65534)
        script = """
            mknod "$1/fuse" c 10 229
            chmod 666 "$1/fuse"
            mount --bind "$1/fuse" /dev/fuse
            cd "$1/home"
            exec setpriv --reuid 65534 --regid 65534 --clear-groups env HOME="$1/home" sh -euc '
                "$1/gribfs" mount "$1/set/refs.json" mnt
                wc -c < mnt/x/5
                "$1/gribfs" list
                if "$1/gribfs" umount /proc 2>&1; then exit 3; fi
                "$1/gribfs" umount mnt
                "$1/gribfs" mount "$1/set/refs.json" mnt -o allow_other 2>&1 || echo refused $?
                "$1/gribfs" doctor || echo bad
            ' sh "$1"
        """
        text = worked(private(script, place))
    finally:
        shutil.rmtree(place)
    assert "65536" in text and "serving" in text, text
    if "refused" in text:
        assert "add the line `user_allow_other` to /etc/fuse.conf" in text and "refused 1" in text, text
    assert "mounted and unmounted for trial" in text and "bad" not in text, text


def test_without_the_device_there_is_one_clear_sentence(gribfs, fuse, local, tmp_path):
    (tmp_path / "mnt").mkdir()
    script = """
        mount -t tmpfs none /dev
        mknod -m 666 /dev/null c 1 3
        "$GRIBFS" mount "$1" "$2" 2>&1 && exit 3
        echo "exit $?"
        "$GRIBFS" doctor && exit 3
        echo "exit $?"
    """
    text = worked(private(script, local, tmp_path / "mnt"))
    said = [line for line in text.splitlines() if line.startswith("gribfs: ")]
    assert len(said) == 1 and "/dev/fuse" in said[0] and "modprobe fuse" in said[0] and "--device /dev/fuse" in said[0], text
    assert text.count("exit 1") == 2, text
    assert any(line.startswith("bad") and "/dev/fuse" in line for line in text.splitlines()), text


@pytest.mark.parametrize("foreground", [True, False])
def test_a_descriptor_that_somebody_else_mounts(gribfs, fuse, source, tmp_path, foreground):
    """`gribfs mount -f SOURCE /dev/fd/N -f`, as Apptainer's --fusemount starts it: it adds a `-f`, which was one too many."""
    if not ROOT:
        pytest.skip("skipped: only root calls mount(2)")
    path, name, content = source
    place = tmp_path / "mnt"
    place.mkdir()
    device = os.open("/dev/fuse", os.O_RDWR)
    libc = ctypes.CDLL(None, use_errno=True)
    done = libc.mount(b"test", os.fsencode(place), b"fuse", 0, f"fd={device},rootmode=40000,user_id=0,group_id=0".encode())
    assert done == 0, os.strerror(ctypes.get_errno())
    try:
        flags = ["-f"] if foreground else []
        process = subprocess.Popen([PROGRAM, "mount", *flags, path, f"/dev/fd/{device}", *flags], pass_fds=[device], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        os.close(device)
        if not foreground:
            assert process.wait(30) == 0, process.stdout.read()
            assert f"mounted at /dev/fd/{device}" in process.stdout.read()
        assert (place / name).read_bytes() == content
    finally:
        subprocess.run(["umount", place], check=True)
    if foreground:
        assert process.wait(30) == 0, process.stdout.read()


def test_systemd_hears_when_the_mount_answers(gribfs, fuse, source, tmp_path, monkeypatch):
    path, name, content = source
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    listener.bind(str(tmp_path / "notify"))
    listener.settimeout(30)
    place = tmp_path / "mnt"
    place.mkdir()
    process = subprocess.Popen([PROGRAM, "mount", "--foreground", path, place], env=os.environ | {"NOTIFY_SOCKET": str(tmp_path / "notify")}, stdout=subprocess.DEVNULL)
    try:
        assert listener.recv(100).startswith(b"READY=1")
        assert (place / name).read_bytes() == content
    finally:
        process.terminate()
        assert process.wait(30) == 0
    assert not os.path.ismount(place)


def test_the_unit_starts_what_the_program_knows(gribfs):
    unit = (pathlib.Path(__file__).parent.parent.parent / "scripts/packaging/gribfs@.service").read_text()
    (start,) = [line for line in unit.splitlines() if line.startswith("ExecStart=")]
    assert start == "ExecStart=/usr/bin/gribfs mount --foreground $OPTIONS ${SOURCE} ${DIR}"
    assert "Type=notify" in unit and "--foreground" in gribfs("mount", "--help").stdout


# list, doctor


def test_list_tells_serving_from_dead(gribfs, mount, local, tmp_path):
    serving, dead = mount(local, foreground=True), mount(local, foreground=True)
    dead.process.kill()
    dead.process.wait()
    try:
        listed = {entry["directory"]: entry for entry in json.loads(gribfs("list", "--json").stdout)}
        one, other = listed[str(serving.path)], listed[str(dead.path)]
        assert (one["state"], one["pid"], one["failures"]) == ("serving", serving.process.pid, 0)
        assert one["source"].endswith("gfs.parquet") and one["uptime_seconds"] >= 0
        assert (other["state"], other["pid"]) == ("dead", None)
        lines = gribfs("list").stdout.splitlines()
        assert lines[0].split() == ["DIRECTORY", "STATE", "PID", "SOURCE"]
        assert any(str(dead.path) in line and "dead" in line for line in lines)
    finally:
        gribfs("umount", dead.path)
        dead.process = None


def doctor(*args, code=0, **more):
    found = json.loads(run("doctor", "--json", *args, code=code, **more).stdout)
    return {finding["what"]: finding for finding in found}


def test_doctor_looks_at_everything_and_shows_no_secret(gribfs, fuse, tmp_path, monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "HUSHid")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "HUSHsecret")
    monkeypatch.setenv("GOOGLE_SERVICE_ACCOUNT_KEY", "HUSHkey")
    monkeypatch.setenv("AZURE_STORAGE_SAS_TOKEN", "HUSHtoken")
    monkeypatch.setenv("https_proxy", "http://me:HUSHproxy@proxy.example:3128")
    found = doctor()
    assert {"/dev/fuse", "fusermount3", "allow_other", "open files", "a mount", "proxies", "s3:// credentials", "gs:// credentials", "az:// credentials"} <= set(found)
    assert found["a mount"]["verdict"] == found["/dev/fuse"]["verdict"] == "good", found
    assert "AWS_ACCESS_KEY_ID" in found["s3:// credentials"]["text"]
    assert "proxy.example:3128" in found["proxies"]["text"]
    assert "HUSH" not in json.dumps(found) and "HUSH" not in run("doctor").stdout


def test_doctor_reaches_sources_and_reads_their_clock(gribfs, fuse, tmp_path):
    (tmp_path / "a.bin").write_bytes(b"x" * 2_000_000)
    with http_server(tmp_path) as url:
        found = doctor(f"{url}/a.bin", tmp_path / "a.bin", tmp_path)
        assert "2.0 MB" in found[f"{url}/a.bin"]["text"] and "2.0 MB" in found[str(tmp_path / "a.bin")]["text"]
        assert found["clock"]["verdict"] == "good"
        found = doctor(f"{url}/absent", code=1)
        assert found[f"{url}/absent"]["verdict"] == "bad" and "404" in found[f"{url}/absent"]["text"]
    with http_server(tmp_path, skew=3600) as url:
        found = doctor(f"{url}/a.bin", code=1)
        assert found["clock"]["verdict"] == "bad" and "s behind" in found["clock"]["text"] and url in found["clock"]["text"], found
    with http_server(tmp_path, skew=-3600) as url:
        assert "s ahead" in doctor(f"{url}/a.bin", code=1)["clock"]["text"]
    found = doctor("s3://my-bucket/x", "--endpoint-url", "http://127.0.0.1:9", "--timeout", "2", code=1)
    assert found["s3://my-bucket/x"]["verdict"] == "bad"


# signals and logs


def daemon_pid(place):
    return status(place)["pid"]


def test_a_log_file_is_rotated_and_says_more_when_told(mount, store, http, table, tmp_path):
    log = tmp_path / "gribfs.log"
    mounted = mount(table, "--log-file", log, "--timeout", "3")
    pid = daemon_pid(mounted.path)
    http.fault("gfs.20261122/00/atmos/gfs.t00z.pgrb2.3p00.f006", "404")
    assert errno_of(chunk(mounted / "run_time.zarr", "t2m")) == errno.EIO
    wait_until(lambda: "404" in log.read_text(), 10, "the failure")
    assert "\x1b" not in log.read_text() and " WARN " in log.read_text()
    os.rename(log, tmp_path / "gribfs.log.1")
    os.kill(pid, signal.SIGUSR1)
    wait_until(log.exists, 10, "a new log file")
    levels = []
    for level in ("information", "every request", "warnings"):
        os.kill(pid, signal.SIGUSR2)
        wait_until(lambda level=level: f"the log shows {level} now" in log.read_text(), 10, level)
        levels.append(level)
        if level == "every request":
            http.heal()
            chunk(mounted / "run_time.zarr", "u10").read_bytes()
            wait_until(lambda: "DEBUG" in log.read_text(), 10, "requests in the log")
    assert "SIGUSR2" not in (tmp_path / "gribfs.log.1").read_text()
    size = log.stat().st_size
    chunk(mounted / "run_time.zarr", "v10").read_bytes()
    assert log.stat().st_size == size, "quiet again"
    assert os.path.ismount(mounted.path)


def test_a_log_file_that_cannot_be_is_refused(gribfs, fuse, local, tmp_path):
    (tmp_path / "mnt").mkdir()
    done = gribfs("mount", local, tmp_path / "mnt", "--log-file", tmp_path / "no/such/log", code=2)
    assert "--log-file" in done.stderr and "no/such/log" in done.stderr
    assert not os.path.ismount(tmp_path / "mnt")


def test_a_daemon_logs_to_the_system(gribfs, fuse, tmp_path):
    """One line per failure, by way of /dev/log, as journald and rsyslog listen to it."""
    refs = reference_set(tmp_path / "set")
    (tmp_path / "mnt").mkdir()
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    listener.bind(str(tmp_path / "log"))
    listener.settimeout(30)
    script = """
        mount -t tmpfs none /dev
        mknod /dev/fuse c 10 229
        mknod -m 666 /dev/null c 1 3
        ln -s "$3" /dev/log
        "$GRIBFS" mount "$1" "$2"
        rm "$(dirname "$1")/data.bin"
        i=0
        while [ $i -lt 20 ]; do cat "$2/x/2" 2>/dev/null && exit 3; i=$((i+1)); done
        "$GRIBFS" umount "$2"
    """
    text = worked(private(script, refs, tmp_path / "mnt", tmp_path / "log"))
    assert "the system's" in text
    lines = []
    listener.settimeout(1)
    with contextlib.suppress(TimeoutError):
        while True:
            lines.append(listener.recv(10_000).decode())
    failures = [line for line in lines if "data.bin" in line]
    assert len(failures) == 1, lines
    assert failures[0].startswith("<28>gribfs[") and "WARN" in failures[0] and failures[0].split("]: ")[1].startswith("WARN"), failures


# limits


def test_bytes_of_each_process_are_shown(mount, source):
    path, name, content = source
    mounted = mount(path)
    reader = subprocess.Popen(["dd", f"if={mounted / name}", "of=/dev/null", "bs=64k"], stderr=subprocess.DEVNULL)
    reader.wait()

    def readers():
        return {entry["pid"]: entry for entry in status(mounted.path)["readers"]}

    wait_until(lambda: reader.pid in readers(), 10, "the status file, which is made anew twice a second")
    readers = readers()
    assert readers[reader.pid]["command"] in ("dd", ""), readers
    assert readers[reader.pid]["bytes"] >= len(content) and readers[reader.pid]["reads"] >= 1
    assert readers[reader.pid]["idle_seconds"] < 60


def test_a_status_file_read_in_pieces_is_one_document(mount, source):
    """It was the beginning of one and the end of the next, where the second piece was read half a second later."""
    path, name, _ = source
    mounted = mount(path)
    with open(mounted / ".gribfs/status.json", "rb", buffering=0) as file:
        text = file.read(100)
        for _ in range(3):
            (mounted / name).read_bytes()
            time.sleep(0.6)
            os.stat(mounted / ".gribfs/status.json")
            status(mounted.path)
        while piece := file.read(100):
            text += piece
    assert json.loads(text)["readers"] == [] or json.loads(text)["readers"][0]["reads"] < 3


def test_max_bytes_stops_a_walk_with_a_clear_errno_and_one_line(mount, gribfs, local, tmp_path):
    for path, store_name, limit in ((local, "run_time.zarr", "60k"), (reference_set(tmp_path / "set"), ".", "200k")):
        mounted = mount(path, "--max-bytes", limit, foreground=True)
        codes = []
        first = None
        for folder, _, names in os.walk(mounted / store_name):
            for name in sorted(names):
                file = pathlib.Path(folder) / name
                if name[0] == "." or ".gribfs" in folder:
                    continue
                code = errno_of(file)
                codes.append(code)
                first = first or (file if code is None else None)
        assert codes[0] is None and set(codes) == {None, errno.EDQUOT}, set(codes)
        assert codes.count(errno.EDQUOT) > 1 and codes.index(errno.EDQUOT) > 0
        said = [line for line in mounted.log().splitlines() if "--max-bytes" in line]
        assert len(said) == 1 and "most was asked for by" in said[0] and f"(pid {os.getpid()})" in said[0], mounted.log()
        assert errno_of(first) is None, "what the kernel has is served on"
        assert os.listdir(mounted / store_name) and os.stat(file), "names and sizes are served on"
        assert status(mounted.path)["last_failures"][-1]["kind"] == "Spent"


# what readers do


def test_reads_of_every_kind(mount, source):
    path, name, content = source
    file = mount(path) / name
    descriptor = os.open(file, os.O_RDONLY)
    try:
        assert os.pread(descriptor, 100, len(content)) == b"" and os.pread(descriptor, 100, 1 << 40) == b""
        assert os.pread(descriptor, 100, len(content) - 10) == content[-10:]
        out, back = os.pipe2(os.O_CLOEXEC)
        os.close(out), os.close(back)
        with open(file.parent.parent.parent.parent / "sent" if False else f"/dev/shm/gribfs-{os.getpid()}", "w+b") as sink:
            os.unlink(sink.name)
            sent = 0
            while sent < len(content):
                sent += os.sendfile(sink.fileno(), descriptor, sent, len(content) - sent)
            assert os.pread(sink.fileno(), len(content) + 1, 0) == content
        with mmap.mmap(descriptor, 0, prot=mmap.PROT_READ) as mapped:
            assert mapped[:] == content
    finally:
        os.close(descriptor)
    direct = os.open(file, os.O_RDONLY | os.O_DIRECT)
    try:
        buffer = mmap.mmap(-1, (len(content) // 4096 + 2) * 4096)
        got = os.preadv(direct, [buffer], 0)
        assert got == len(content) and buffer[:got] == content
    finally:
        os.close(direct)


def test_rm_rf_and_writes_are_refused_and_change_nothing(mount, source):
    path, name, content = source
    mounted = mount(path)
    done = subprocess.run(["rm", "-rf", mounted / name.split("/")[0]], capture_output=True, text=True)
    assert done.returncode and "Read-only file system" in done.stderr, done.stderr
    for attempt in (lambda: open(mounted / name, "ab"), lambda: os.mkdir(mounted / "new"), lambda: os.truncate(mounted / name, 0), lambda: os.utime(mounted / name)):
        with pytest.raises(OSError) as caught:
            attempt()
        assert caught.value.errno == errno.EROFS
    assert (mounted / name).read_bytes() == content


def test_ls_l_and_find_of_a_large_directory(mount, tmp_path):
    mounted = mount(reference_set(tmp_path / "set", 50_000))
    before = status(mounted.path)["storage"]["requests"]
    lines = subprocess.run(["ls", "-l", mounted / "x"], capture_output=True, text=True, check=True).stdout.splitlines()
    assert sum(line.startswith("-r") for line in lines) == 50_000
    found = subprocess.run(["find", mounted / "x", "-name", "4999?", "-size", "64k"], capture_output=True, text=True, check=True).stdout.split()
    assert len(found) == 10
    assert status(mounted.path)["storage"]["requests"] == before


READER = """
import sys, os, itertools
for number in itertools.count():
    try:
        data = open(sys.argv[1 + number % (len(sys.argv) - 1)], "rb").read()
    except OSError as error:
        sys.exit(error.errno)
    assert len(data) == 65536
"""


def test_unmounting_under_load_is_refused_or_clean(mount, gribfs, tmp_path):
    mounted = mount(reference_set(tmp_path / "set", 64), foreground=True)
    names = [str(mounted / f"x/{i}") for i in range(64)]
    readers = [subprocess.Popen([sys.executable, "-c", READER, *names], stderr=subprocess.PIPE) for _ in range(4)]
    wait_until(lambda: status(mounted.path)["chunks_read"] > 8, 30, "readers at work")
    refused = 0
    for _ in range(5):
        done = gribfs("umount", mounted.path, code=None)
        if done.returncode == 0:
            break
        refused += 1
        assert "busy" in done.stderr, done.stderr
    for reader in readers:
        reader.kill()
    for reader in readers:
        code = reader.wait(10)
        # Unmounted between two opens, a reader finds no file; never short or wrong bytes.
        assert code in (-signal.SIGKILL, errno.ENOENT), (code, reader.stderr.read())
    if os.path.ismount(mounted.path):
        gribfs("umount", mounted.path)
    assert mounted.process.wait(10) == 0
    mounted.process = None
