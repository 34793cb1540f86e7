"""Has a wheel carry the `holistics` program if HOLISTICS_PROGRAM names it; without that, the wheel is Python alone.

The program goes to `bin` of the environment and DuckDB's library to `lib`, where the program looks for it.
"""

import os
import pathlib
import shutil
import subprocess
import sys

from setuptools import setup
from setuptools.command.bdist_wheel import bdist_wheel

HERE = pathlib.Path(__file__).parent
LIBRARY = "libduckdb.dylib" if sys.platform == "darwin" else "libduckdb.so"


class PlatformWheel(bdist_wheel):
    """For any Python 3 of this kind of machine."""

    def finalize_options(self):
        super().finalize_options()
        self.root_is_pure = False

    def get_tag(self):
        return "py3", "none", super().get_tag()[2]


def library_of(program):
    """DuckDB's library, or None if it is in the program itself."""
    if LIBRARY.encode() not in program.read_bytes():
        return None
    folders = [program.parent, program.parent.parent / "lib", HERE.parents[1] / ".duckdb" / "lib"]
    for folder in folders:
        if (folder / LIBRARY).exists():
            return folder / LIBRARY
    raise SystemExit(f"there is no {LIBRARY} in {', '.join(map(str, folders))}")


def carried(program):
    """Where in an environment each file goes, without what only a debugger reads."""
    aside = HERE / "build" / "carried"
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir(parents=True)
    library = library_of(program)
    copies = {"bin": shutil.copy(program, aside / "holistics")}
    if library:
        copies["lib"] = shutil.copy(library, aside)
    if sys.platform == "linux" and shutil.which("strip"):
        subprocess.run(["strip", *copies.values()], check=True)
    if library and library.with_name("LICENSE").exists():
        copies["share/doc/holistics/duckdb"] = shutil.copy(library.with_name("LICENSE"), aside)
    return [(folder, [os.path.relpath(copy, HERE)]) for folder, copy in copies.items()]


program = os.environ.get("HOLISTICS_PROGRAM")
if program:
    setup(data_files=carried(pathlib.Path(program).resolve(strict=True)), cmdclass={"bdist_wheel": PlatformWheel})
else:
    setup()
