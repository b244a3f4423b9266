"""The page of promises names tests, and the pages name flags: all of them exist."""

import pathlib
import re

from conftest import ROOT

DOCS = ROOT / "src/docs"


def test_each_promise_names_a_test_that_exists():
    page = (DOCS / "semantics.md").read_text()
    # The list of names has underscores in it, so it is no flag and no path.
    names = set(re.findall(r"`([a-z]+_[a-z0-9_]+)`", page)) - {"best_available.zarr"}
    assert len(names) > 25
    folders = [ROOT / "tests", ROOT / "src"]
    texts = [path.read_text() for folder in folders for path in folder.rglob("*") if path.suffix in (".py", ".rs")]
    known = {name for text in texts for name in re.findall(r"(?:def|fn) ([a-z][a-z0-9_]+)\(", text)}
    assert names <= known, names - known


def test_the_pages_name_flags_that_exist(gribfs):
    commands = ("index", "mount", "umount", "list", "doctor", "info", "export", "verify", "demo", "copy")
    known = set(re.findall(r"--[a-z][a-z0-9-]+", "".join(gribfs(command, "--help").stdout for command in commands)))
    for name in ("workstation", "hpc", "troubleshooting", "semantics", "security", "derived"):
        page = (DOCS / f"{name}.md").read_text()
        ours = {flag for flag in re.findall(r"`(--[a-z][a-z-]+)", page)}
        others = {"--device", "--cap-add", "--security-opt", "--one-file-system", "--fusemount", "--scheduler"}  # of other programs and of scripts
        assert ours - others <= known, (name, ours - others - known)


def test_every_page_is_linked(gribfs):
    readme = (ROOT / "README.md").read_text()
    for page in DOCS.glob("*.md"):
        assert f"src/docs/{page.name}" in readme, page.name
    for page in [ROOT / "README.md", *DOCS.glob("*.md")]:
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text()):
            assert (page.parent / pathlib.Path(target)).exists(), f"{page.name} links {target}"
