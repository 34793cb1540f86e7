"""Prints docs/python.md: every public name with its docstring. A test holds the page against it."""

import inspect

import holistics

HEAD = """# The Python package

`HolisticsAPI` of `pip install ./clients/python`; [its README](../clients/python/README.md) is a minute's tour.
This page is made of the docstrings: `python clients/python/reference.py > docs/python.md`.
"""


def signature(function):
    """As it is written in the source, a parameter a line where they are many."""
    parts, only_names = [], False
    for name, parameter in inspect.signature(function).parameters.items():
        if name == "self":
            continue
        if parameter.kind is parameter.KEYWORD_ONLY and not only_names:
            parts.append("*")
            only_names = True
        if parameter.kind is parameter.VAR_KEYWORD:
            name = f"**{name}"
        default = "" if parameter.default is parameter.empty else f" = {parameter.default!r}"
        parts.append(f"{name}: {parameter.annotation}{default}")
    returned = inspect.signature(function).return_annotation
    arrow = "" if returned in (inspect.Signature.empty, "None") else f" -> {returned}"
    line = f"({', '.join(parts)}){arrow}"
    return line if len(line) <= 80 else f"(\n    {joined(parts)},\n){arrow}"


def joined(parts):
    return ",\n    ".join(parts)


def words(documented):
    """The docstring, its arguments as a list."""
    text = inspect.getdoc(documented) or ""
    out = []
    for line in text.splitlines():
        if line.startswith("        "):
            out[-1] += " " + line.strip()
        elif line.startswith("    "):
            names, _, meaning = line.strip().partition(":")
            listed = ", ".join(f"`{name.strip()}`" for name in names.split(","))
            out.append(f"- {listed}: {meaning.strip()}")
        elif line.rstrip() != "Args:":
            out.append(line)
    return "\n".join(out)


def page():
    api = holistics.HolisticsAPI
    sections = [HEAD, f"## HolisticsAPI\n\n```python\nHolisticsAPI{signature(api.__init__)}\n```\n\n{words(api)}\n"]
    for name, member in vars(api).items():
        if name.startswith("_") or name == "ExportData":
            continue
        if isinstance(member, property):
            sections.append(f"### {name}\n\n{words(member)}\n")
        else:
            sections.append(f"### {name}\n\n```python\n{name}{signature(member)}\n```\n\n{words(member)}\n")
    sections.append("## What it raises and returns\n")
    for name in holistics.__all__:
        if name != "HolisticsAPI":
            made = getattr(holistics, name)
            bases = ", ".join(base.__name__ for base in made.__bases__)
            sections.append(f"### {name}({bases})\n\n{words(made)}\n")
    return "\n".join(sections)


if __name__ == "__main__":
    print(page(), end="")
