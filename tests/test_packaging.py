"""What is installed is ours alone, holds all that it needs, and is described as it is."""

import importlib.util
import json
import re
import subprocess
import sys
import zipfile
from importlib.metadata import Distribution, distribution, packages_distributions
from pathlib import Path
from urllib.parse import unquote, urlparse

import pytest
import typer

from node.cli import app

ROOT = Path(__file__).parents[1]
PACKAGES = ("node", "model", "training")


def editable_root(installed: Distribution) -> Path | None:
    """Give the folder that an editable installation points to."""
    text = installed.read_text("direct_url.json")
    facts = json.loads(text) if text else {}
    if not facts.get("dir_info", {}).get("editable"):
        return None
    return Path(unquote(urlparse(facts["url"]).path))


@pytest.mark.parametrize("name", PACKAGES)
def test_an_import_name_belongs_to_this_distribution_alone(name: str) -> None:
    # Others on the package index are called so too; installed beside us they would share a folder.
    installed = distribution("mammonode")
    spec = importlib.util.find_spec(name)
    root = editable_root(installed)

    assert set(packages_distributions().get(name, ())) <= {"mammonode"}
    assert spec is not None
    assert spec.origin is not None
    if root is not None:
        assert Path(spec.origin) == root / name / "__init__.py"
    else:
        files = {Path(str(file.locate())) for file in installed.files or ()}
        assert Path(spec.origin) in files


def test_the_imports_keep_their_layers() -> None:
    ended = subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-cache"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )

    assert ended.returncode == 0, ended.stdout + ended.stderr


def test_the_wheel_holds_everything_and_nothing_else(tmp_path: Path) -> None:
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        check=True,
    )

    (wheel,) = tmp_path.glob("*.whl")
    packed = set(zipfile.ZipFile(wheel).namelist())
    ours = {
        path.relative_to(ROOT).as_posix()
        for package in PACKAGES
        for path in (ROOT / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert ours <= packed
    assert "node/node.toml" in packed
    tops = {name.partition("/")[0] for name in packed}
    assert {top for top in tops if not top.endswith(".dist-info")} == set(PACKAGES)
    assert any(name.endswith("/licenses/LICENSE") for name in packed)


def test_every_command_is_in_the_readme() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")

    for name, command in typer.main.get_command(app).commands.items():  # type: ignore[attr-defined]
        names = [f"{name} {inner}" for inner in getattr(command, "commands", {})] or [name]
        for each in names:
            assert f"`mammonode {each}`" in readme


def test_every_command_of_the_readme_is_there() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    commands = typer.main.get_command(app).commands  # type: ignore[attr-defined]

    written = re.findall(r"^(?:\| `)?mammonode (\w+)(?: (\w+))?", readme, flags=re.MULTILINE)
    assert written
    for first, second in written:
        assert first in commands
        assert second in getattr(commands[first], "commands", {second: None})


def test_every_file_that_the_readme_links_to_is_there() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")

    linked = re.findall(r"\]\((?!https?:)([^)#]+)", readme)
    assert linked
    assert [path for path in linked if not (ROOT / path).exists()] == []
