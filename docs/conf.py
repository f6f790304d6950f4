"""How Sphinx makes a site of the pages in this folder: ``make docs``.

The pages are plain Markdown, for a code host as well. Which of them the site has, and in which
order, is taken from the links in index.md.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import kt

if TYPE_CHECKING:
    from sphinx.application import Sphinx

project = "kt"
author = "the authors of kt"
copyright = author  # noqa: A001 - Sphinx's name
release = version = kt.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.viewcode"]
html_theme = "furo"
html_title = f"kt {release}"
html_show_copyright = False
html_copy_source = False

myst_heading_anchors = 3
default_role = "py:obj"  # what docstrings write in single backticks
autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
napoleon_use_ivar = True
python_use_unqualified_type_names = True
autodoc_default_options = {
    "members": True,
    # Everything but what is Python's own.
    "inherited-members": "dict,tuple,int,Enum,Exception,Generic,Protocol",
}

SECTION = re.compile(r"^## (?P<caption>.+)\n(?P<text>(?:(?!## ).*\n?)+)", re.MULTILINE)
PAGE = re.compile(r"\]\(([\w/-]+)\.(?:md|rst)\)")


def add_contents(app: Sphinx, name: str, text: list[str]) -> None:
    """Give the first page the table of contents that its links describe."""
    if name == "index":
        for section in SECTION.finditer(text[0]):
            pages = "\n".join(PAGE.findall(section["text"]))
            options = f":hidden:\n:caption: {section['caption']}"
            text[0] += f"\n```{{toctree}}\n{options}\n\n{pages}\n```\n"


def skip_field(app: Sphinx, what: str, name: str, member: object, skip: bool, _: object) -> bool:
    """Leave out fields of named tuples, which the docstring of their class describes."""
    return skip or type(member).__name__ == "_tuplegetter"


def setup(app: Sphinx) -> None:
    """Called by Sphinx."""
    app.connect("source-read", add_contents)
    app.connect("autodoc-skip-member", skip_field)
