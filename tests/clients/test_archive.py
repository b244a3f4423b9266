"""The archive of our own is what its script writes, byte for byte, by the ecCodes that the tests pin."""

import subprocess
import sys

from conftest import ROOT


def test_the_archive_is_what_its_script_writes():
    done = subprocess.run([sys.executable, str(ROOT / "scripts/make_demo_archive.py"), "--check"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
